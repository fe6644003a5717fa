#include "generate/work.h"

#include <fmt/format.h>

#include <algorithm>

namespace flash_mla::cli {
namespace {

struct Widths {
  int64_t key;
  int64_t value;
};

Widths head_widths(const runtime::ModelConfig& model) {
  if (model.latent) return {model.latent->nope + model.latent->rope, model.latent->value};
  return {model.head_width, model.head_width};
}

CacheForm heads_form(const char* name, int64_t heads, const Widths& widths) {
  return {name, fmt::format("{} x ({} + {})", heads, widths.key, widths.value), heads * (widths.key + widths.value)};
}

}  // namespace

double weights_per_token(const runtime::ModelConfig& model) {
  const int64_t mats = model.architecture == runtime::Architecture::gpt2 ? 2 : 3;
  const int64_t dense = mats * model.width * model.feed_forward;
  int64_t attention = 2 * model.width * (model.heads + model.kv_heads) * model.head_width;
  if (model.latent) {
    const runtime::LatentConfig& latent = *model.latent;
    const int64_t head = latent.nope + latent.rope;
    const int64_t query = latent.query_rank > 0 ? latent.query_rank * (model.width + model.heads * head)
                                                : model.width * model.heads * head;
    attention = query + model.width * (latent.rank + latent.rope) +
                model.heads * (latent.rank * (latent.nope + latent.value) + latent.value * model.width);
  }
  int64_t sum = model.vocabulary * model.width + model.layers * attention;
  const int64_t routed_from = model.experts ? std::min(model.experts->first_layer, model.layers) : model.layers;
  sum += routed_from * dense;
  if (model.experts) {
    const runtime::ExpertsConfig& experts = *model.experts;
    sum += (model.layers - routed_from) * model.width *
           (experts.routed + 3 * (experts.per_token + experts.shared) * experts.width);
  }
  return static_cast<double>(sum);
}

Work work_of(const runtime::ModelConfig& model, int64_t queries, int64_t length, int64_t element) {
  const int64_t key = model.latent ? model.latent->rank + model.latent->rope : model.head_width;
  const int64_t value = model.latent ? model.latent->rank : model.head_width;
  // The query at position p sees p + 1 keys.
  const double pairs =
      static_cast<double>(queries) * (static_cast<double>(length) - static_cast<double>(queries - 1) / 2);
  const auto layers = static_cast<double>(model.layers);
  Work work;
  work.attention_flop = 2 * pairs * static_cast<double>(model.heads * (key + value)) * layers;
  work.weight_flop = 2 * weights_per_token(model) * static_cast<double>(queries);
  work.cache_bytes = static_cast<double>(length * model.cached_width() * element) * layers;
  return work;
}

std::vector<CacheForm> cache_forms(const runtime::ModelConfig& model) {
  const Widths widths = head_widths(model);
  const int64_t groups = std::max(model.heads / 4, std::min<int64_t>(2, model.heads));
  std::vector<CacheForm> forms;
  if (model.latent) {
    forms.push_back({"MLA", fmt::format("{} + {}", model.latent->rank, model.latent->rope), model.cached_width()});
  } else {
    const char* own = model.kv_heads == model.heads ? "MHA" : model.kv_heads == 1 ? "MQA" : "GQA";
    forms.push_back(heads_form(own, model.kv_heads, widths));
  }
  const std::pair<const char*, int64_t> others[] = {{"MHA", model.heads}, {"GQA", groups}, {"MQA", 1}};
  for (const auto& [name, heads] : others) {
    if (forms.front().name != name) forms.push_back(heads_form(name, heads, widths));
  }
  return forms;
}

}  // namespace flash_mla::cli
