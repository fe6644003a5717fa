#include "kv_cost/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace flash_mla::cli {
namespace {

/// The part that describes the language model.
const nlohmann::json& language_part(const nlohmann::json& object) {
  for (const char* name : {"text_config", "llm_config", "language_config", "thinker_config"}) {
    const auto part = object.find(name);
    if (part != object.end() && part->is_object()) return language_part(*part);
  }
  return object;
}

struct Widths {
  int64_t query_heads = 0;
  int64_t kv_heads = 0;
  int64_t key = 0;
  int64_t value = 0;
};

Result<int64_t> head_width(const Config& config, int64_t heads) {
  if (config.find({"head_dim", "kv_channels", "attention_head_dim"}) != nullptr) {
    return config.number({"head_dim", "kv_channels", "attention_head_dim"});
  }
  const Result<int64_t> hidden = config.number({"hidden_size", "n_embd", "d_model"});
  if (!hidden.ok()) return hidden.status();
  if (hidden.value() % heads == 0) return hidden.value() / heads;
  return config.error(
      fmt::format("hidden_size is {}: must be a multiple of num_attention_heads, {}, where head_dim is "
                  "missing",
                  hidden.value(), heads));
}

Result<int64_t> count_kv_heads(const Config& config, int64_t heads) {
  // Falcon's old and new forms, GPT BigCode and ChatGLM say it with a flag.
  const bool new_falcon = config.flag("new_decoder_architecture", false);
  if (config.flag("multi_query", false) && !new_falcon) return int64_t{1};
  if (config.flag("multi_query_attention", false)) return config.number({"multi_query_group_num"});
  if (const nlohmann::json* nested = config.find({"attn_config"}); nested != nullptr && nested->is_object()) {
    if (const auto kv = nested->find("kv_n_heads"); kv != nested->end()) {
      if (kv->is_number_integer() && *kv >= 1 && *kv <= heads) return kv->get<int64_t>();
      return config.error(
          fmt::format("attn_config.kv_n_heads is {}: must be an integer of 1 to {}", kv->dump(), heads));
    }
  }
  return config.number_or({"num_key_value_heads", "num_kv_heads", "n_head_kv"}, heads);
}

Result<Widths> widths_of_heads(const Config& config) {
  Widths widths;
  const Result<int64_t> heads = config.number({"num_attention_heads", "n_head", "n_heads"});
  if (!heads.ok()) return heads.status();
  widths.query_heads = heads.value();
  const Result<int64_t> kv_heads = count_kv_heads(config, heads.value());
  if (!kv_heads.ok()) return kv_heads.status();
  widths.kv_heads = kv_heads.value();
  if (widths.kv_heads > widths.query_heads || widths.query_heads % widths.kv_heads != 0) {
    return config.error(fmt::format("num_key_value_heads is {}: must divide num_attention_heads, {}", widths.kv_heads,
                                    widths.query_heads));
  }
  const Result<int64_t> key = head_width(config, heads.value());
  if (!key.ok()) return key.status();
  const Result<int64_t> value = config.number_or({"v_head_dim"}, key.value());
  if (!value.ok()) return value.status();
  widths.key = key.value();
  widths.value = value.value();
  return widths;
}

/// Adds a layer to the last group that is like it, or makes one.
void add_layer(std::vector<LayerGroup>& groups, LayerGroup layer) {
  for (LayerGroup& group : groups) {
    layer.layers = group.layers;
    if (group == layer) {
      ++group.layers;
      return;
    }
  }
  layer.layers = 1;
  groups.push_back(std::move(layer));
}

/// Gemma 3n: the last layers use the cache of earlier ones.
Status share_layers(const Config& config, std::vector<LayerPlan>& plans) {
  const nlohmann::json* shared = config.find({"num_kv_shared_layers"});
  if (shared == nullptr) return {};
  const auto layers = static_cast<int64_t>(plans.size());
  if (!shared->is_number_integer() || *shared < 0 || *shared >= layers) {
    return config.error(fmt::format("num_kv_shared_layers is {}: must be 0 to {}", shared->dump(), layers - 1));
  }
  const auto own = static_cast<size_t>(layers - shared->get<int64_t>());
  std::fill(plans.begin() + static_cast<std::ptrdiff_t>(own), plans.end(),
            LayerPlan{LayerPlan::Kind::none, "shared with an earlier layer", 0, 0});
  return {};
}

/// num_key_value_heads as a list, one a layer (OpenELM, DeciLM).
Status spread_kv_heads(const Config& config, std::vector<LayerPlan>& plans) {
  const nlohmann::json* list = config.find({"num_key_value_heads_per_layer", "num_kv_heads", "num_key_value_heads"});
  if (list == nullptr || !list->is_array()) return {};
  if (list->size() != plans.size()) {
    return config.error(fmt::format("num_key_value_heads lists {} layers: must be {}", list->size(), plans.size()));
  }
  for (size_t i = 0; i < plans.size(); ++i) {
    const nlohmann::json& heads = (*list)[i];
    if (!heads.is_number_integer() || heads < 1 || heads > Config::kMost) {
      return config.error(
          fmt::format("num_key_value_heads lists {}: must be integers of 1 to {}", heads.dump(), Config::kMost));
    }
    plans[i].kv_heads = heads.get<int64_t>();
  }
  return {};
}

Status add_mla_layers(const Config& config, const std::vector<LayerPlan>& plans, ModelCache& model) {
  const Result<int64_t> latent = config.number({"kv_lora_rank"});
  if (!latent.ok()) return latent.status();
  const Result<int64_t> rope = config.number({"qk_rope_head_dim"});
  if (!rope.ok()) return rope.status();
  const Result<int64_t> heads = config.number_or({"num_attention_heads"}, 0);
  const Result<int64_t> nope = config.number_or({"qk_nope_head_dim"}, 0);
  const Result<int64_t> value = config.number_or({"v_head_dim"}, 0);
  const Result<int64_t> indexer = config.number_or({"index_head_dim"}, 0);
  for (const Result<int64_t>* one : {&heads, &nope, &value, &indexer}) {
    if (!one->ok()) return one->status();
  }
  model.query_heads = heads.value();
  if (nope.value() > 0) {
    model.head_key = nope.value() + rope.value();
    model.head_value = value.value();
  }
  int64_t with_cache = 0;
  for (const LayerPlan& plan : plans) {
    if (plan.kind == LayerPlan::Kind::none) {
      add_layer(model.groups, {LayerGroup::Kind::none, plan.name});
      continue;
    }
    ++with_cache;
    add_layer(model.groups, {LayerGroup::Kind::latent, plan.window == 0 ? "latent" : "latent, " + plan.name, 0, 1,
                             latent.value(), rope.value(), plan.window});
  }
  if (indexer.value() > 0 && with_cache > 0) {
    model.groups.push_back({LayerGroup::Kind::indexer, "indexer keys", with_cache, 1, indexer.value(), 0, 0});
  }
  model.attention = "MLA";
  return {};
}

Status add_head_layers(const Config& config, const std::vector<LayerPlan>& plans, ModelCache& model) {
  const Result<Widths> widths = widths_of_heads(config);
  if (!widths.ok()) return widths.status();
  // Gemma 4: full layers have wider heads.
  const Result<int64_t> global = config.number_or({"global_head_dim"}, 0);
  if (!global.ok()) return global.status();
  const Result<int64_t> global_heads = config.number_or({"num_global_key_value_heads"}, widths.value().kv_heads);
  if (!global_heads.ok()) return global_heads.status();
  model.query_heads = widths.value().query_heads;
  model.head_key = widths.value().key;
  model.head_value = widths.value().value;
  for (const LayerPlan& plan : plans) {
    if (plan.kind == LayerPlan::Kind::none) {
      add_layer(model.groups, {LayerGroup::Kind::none, plan.name});
      continue;
    }
    const bool wide = plan.window == 0 && global.value() > 0;
    const int64_t own = wide ? global_heads.value() : widths.value().kv_heads;
    add_layer(model.groups,
              {LayerGroup::Kind::heads, plan.name, 0, plan.kv_heads > 0 ? plan.kv_heads : own,
               wide ? global.value() : widths.value().key, wide ? global.value() : widths.value().value, plan.window});
  }
  model.attention = widths.value().kv_heads == widths.value().query_heads ? "MHA"
                    : widths.value().kv_heads == 1                        ? "MQA"
                                                                          : "GQA";
  return {};
}

}  // namespace

const nlohmann::json* Config::find(std::initializer_list<const char*> names) const {
  for (const char* name : names) {
    const auto value = object_.find(name);
    if (value != object_.end() && !value->is_null()) return &*value;
  }
  return nullptr;
}

Result<int64_t> Config::number(std::initializer_list<const char*> names, int64_t most) const {
  for (const char* name : names) {
    const nlohmann::json* value = find({name});
    if (value == nullptr) continue;
    if (value->is_number_integer() && *value >= 1 && *value <= most) return value->get<int64_t>();
    return error(fmt::format("{} is {}: must be an integer of 1 to {}", name, value->dump(), most));
  }
  std::string others;
  for (const char* name : names) {
    if (name != *names.begin()) others += fmt::format("{}{}", others.empty() ? " (or " : ", ", name);
  }
  return error(fmt::format("the key {}{} is missing", *names.begin(), others.empty() ? "" : others + ")"));
}

Result<int64_t> Config::number_or(std::initializer_list<const char*> names, int64_t absent) const {
  const nlohmann::json* value = find(names);
  return value == nullptr || value->is_array() ? Result<int64_t>(absent) : number(names);
}

bool Config::flag(const char* name, bool absent) const {
  const nlohmann::json* value = find({name});
  return value != nullptr && value->is_boolean() ? value->get<bool>() : absent;
}

std::string Config::text(const char* name) const {
  const nlohmann::json* value = find({name});
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

Status Config::error(std::string_view message) const {
  return {StatusCode::invalid_argument, fmt::format("{}: {}", source_, message)};
}

Result<ModelCache> parse_config(std::string_view text, std::string_view source, std::string_view name) {
  const nlohmann::json whole = nlohmann::json::parse(text, nullptr, false);
  if (!whole.is_object()) {
    return Status{StatusCode::invalid_argument, fmt::format("{}: is not a JSON object", source)};
  }
  const Config config(source, language_part(whole));
  if (config.flag("is_encoder_decoder", false)) {
    return config.error("is_encoder_decoder is true: only models with one decoder are counted");
  }
  ModelCache model;
  model.name = name;
  Result<std::vector<LayerPlan>> plans = plan_layers(config);
  if (!plans.ok()) return plans.status();
  if (Status status = share_layers(config, plans.value()); !status.ok()) return status;
  if (Status status = spread_kv_heads(config, plans.value()); !status.ok()) return status;
  const bool mla = config.has("kv_lora_rank");
  const Status added =
      mla ? add_mla_layers(config, plans.value(), model) : add_head_layers(config, plans.value(), model);
  if (!added.ok()) return added;
  if (model.layers_with_cache() == 0) return config.error("none of its layers has a KV cache");
  const bool windows =
      std::any_of(model.groups.begin(), model.groups.end(), [](const LayerGroup& group) { return group.window > 0; });
  const bool mixed = std::any_of(model.groups.begin(), model.groups.end(),
                                 [](const LayerGroup& group) { return group.kind == LayerGroup::Kind::none; });
  if (windows) model.attention += ", windows";
  if (mixed) model.attention += ", some layers without cache";
  return model;
}

Result<ModelCache> read_config(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return Status{StatusCode::io_error, fmt::format("config '{}' cannot be read: it is a folder", path)};
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    const char* reason = errno == 0 ? "it is empty" : std::strerror(errno);
    return Status{StatusCode::io_error, fmt::format("config '{}' cannot be read: {}", path, reason)};
  }
  // Files are all named config.json: the folder says which model it is.
  const std::filesystem::path place = std::filesystem::path(path);
  const std::string folder = place.parent_path().filename();
  const std::string name = place.filename() == "config.json" && !folder.empty() ? folder : place.stem().string();
  return parse_config(text.str(), path, name);
}

}  // namespace flash_mla::cli
