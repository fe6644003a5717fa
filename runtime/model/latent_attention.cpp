#include "model/latent_attention.h"

#include <algorithm>
#include <cstring>

#include "common/parallel.h"
#include "flash_mla/append.h"

namespace flash_mla::runtime {
namespace {

/// Writes float32 numbers in a cache's precision.
void store(const float* from, int64_t count, Precision precision, std::byte* to) {
  if (precision == Precision::float32) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t bits = to_bfloat16(from[i]);
    std::memcpy(to + i * 2, &bits, sizeof bits);
  }
}

void load(const std::byte* from, int64_t count, Precision precision, float* to) {
  if (precision == Precision::float32) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, from + i * 2, sizeof bits);
    to[i] = from_bfloat16(bits);
  }
}

}  // namespace

bool expanding_is_cheaper(const LatentConfig& config, int64_t queries, int64_t keys) {
  // A head's multiplications. Queries see half of each other's keys, on average, in both forms.
  const auto visible = static_cast<double>(keys) - static_cast<double>(queries) / 2;
  const auto pairs = static_cast<double>(queries) * visible;
  const auto into_latent = static_cast<double>(queries * config.rank * (config.nope + config.value));
  const double absorbed = pairs * static_cast<double>(2 * config.rank + config.rope) + into_latent;
  const auto expansion = static_cast<double>(keys * config.rank * (config.nope + config.value));
  const double expanded = pairs * static_cast<double>(config.nope + config.rope + config.value) + expansion;
  return expanded < absorbed;
}

void LatentAttention::project(const Step& step, const AttentionShared& shared, const float* x) {
  const int64_t tokens = step.num_tokens(), head = config_.nope + config_.rope;
  const int64_t width = config_.rank + config_.rope;
  queries_.resize(static_cast<size_t>(tokens * heads_ * head));
  latents_.resize(static_cast<size_t>(tokens * width));
  if (weights_.query_down) {
    low_.resize(static_cast<size_t>(tokens * config_.query_rank));
    weights_.query_down->apply(x, tokens, low_.data());
    weights_.query_norm.apply(low_.data(), config_.query_rank, tokens, low_.data(), config_.query_rank);
    weights_.query_up.apply(low_.data(), tokens, queries_.data());
  } else {
    weights_.query_up.apply(x, tokens, queries_.data());
  }
  shared.rotary.apply(queries_.data() + config_.nope, heads_ * head, heads_, head);
  weights_.latent.apply(x, tokens, latents_.data());
  weights_.latent_norm.apply(latents_.data(), width, tokens, latents_.data(), width);
  shared.rotary.apply(latents_.data() + config_.rank, width, 1, width);
}

Status LatentAttention::write(const Step& step, int64_t layer) {
  const int64_t tokens = step.num_tokens(), width = config_.rank + config_.rope;
  AppendArgs args;
  args.rows = ConstTensor(rounded_.round(latents_.data(), tokens * width, precision_), dtype_of(precision_),
                          {tokens, 1, width});
  args.slot_mapping = ConstTensor(step.slots.data(), DType::int64, {tokens});
  args.k_cache = step.arrays->keys(layer);
  return append(args);
}

Status LatentAttention::attend_absorbed(const Step& step, int64_t layer, PagedAttention& paged) {
  const int64_t tokens = paged.num_queries();
  if (tokens == 0) return {};
  const int64_t head = config_.nope + config_.rope, width = config_.rank + config_.rope;
  const int64_t size = bytes_of(precision_);
  absorbed_.resize(static_cast<size_t>(tokens * heads_ * width * size));
  const void* queries = rounded_.round(queries_.data(), tokens * heads_ * head, precision_);
  weights_.absorb_keys.multiply(queries, {head, heads_ * head}, tokens, absorbed_.data(), {width, heads_ * width},
                                dtype_of(precision_));
  parallel_for(tokens * heads_, config_.rope, [&](int64_t i) {
    store(queries_.data() + i * head + config_.nope, config_.rope, precision_,
          absorbed_.data() + (i * width + config_.rank) * size);
  });
  attended_.resize(static_cast<size_t>(tokens * heads_ * config_.rank));
  if (Status status = paged.decode(absorbed_.data(), step.arrays->keys(layer), {}, 0, attended_.data()); !status.ok()) {
    return status;
  }
  const void* attended = rounded_.round(attended_.data(), tokens * heads_ * config_.rank, precision_);
  weights_.absorb_values.multiply(attended, {config_.rank, heads_ * config_.rank}, tokens, values_.data(),
                                  {config_.value, heads_ * config_.value}, DType::float32);
  return {};
}

Status LatentAttention::attend_expanded(const Step& step, int64_t layer, const Segment& segment, int64_t first_token,
                                        PagedAttention& expanded) {
  const int64_t keys = segment.first + segment.count, head = config_.nope + config_.rope;
  const int64_t width = config_.rank + config_.rope, page = step.cache->geometry().page_size;
  const int64_t size = bytes_of(precision_), pair = config_.nope + config_.value;
  const auto* cached = static_cast<const std::byte*>(step.arrays->keys(layer).data);
  const ConstTensor table = step.cache->page_table();
  const int32_t* pages = static_cast<const int32_t*>(table.data) + segment.row * table.strides[0];

  std::vector<float>& latents = attended_;
  latents.resize(static_cast<size_t>(keys * config_.rank));
  expanded_.resize(static_cast<size_t>(keys * heads_ * pair));
  keys_.resize(static_cast<size_t>(keys * heads_ * head * size));
  head_values_.resize(static_cast<size_t>(keys * heads_ * config_.value * size));
  const auto row_of = [&](int64_t key) {
    return cached + (static_cast<int64_t>(pages[key / page]) * page + key % page) * width * size;
  };
  parallel_for(keys, config_.rank,
               [&](int64_t key) { load(row_of(key), config_.rank, precision_, latents.data() + key * config_.rank); });
  weights_.expand.apply(latents.data(), keys, expanded_.data());
  parallel_for(keys, heads_ * (head + config_.value), [&](int64_t key) {
    const std::byte* rope = row_of(key) + config_.rank * size;
    for (int64_t h = 0; h < heads_; ++h) {
      const float* from = expanded_.data() + (key * heads_ + h) * pair;
      std::byte* to = keys_.data() + (key * heads_ + h) * head * size;
      store(from, config_.nope, precision_, to);
      std::memcpy(to + config_.nope * size, rope, static_cast<size_t>(config_.rope * size));
      store(from + config_.nope, config_.value, precision_,
            head_values_.data() + (key * heads_ + h) * config_.value * size);
    }
  });
  if (Status status = expanded.plan_contiguous(segment.count, keys); !status.ok()) return status;
  const void* queries =
      rounded_.round(queries_.data() + first_token * heads_ * head, segment.count * heads_ * head, precision_);
  const DType dtype = dtype_of(precision_);
  return expanded.decode(queries, Tensor(keys_.data(), dtype, {1, keys, heads_, head}),
                         Tensor(head_values_.data(), dtype, {1, keys, heads_, config_.value}), 0,
                         values_.data() + first_token * heads_ * config_.value);
}

Status LatentAttention::apply(const Step& step, int64_t layer, AttentionShared& shared, const float* x, float* y) {
  project(step, shared, x);
  if (Status status = write(step, layer); !status.ok()) return status;
  values_.resize(static_cast<size_t>(step.num_tokens() * heads_ * config_.value));
  if (Status status = attend_absorbed(step, layer, shared.paged); !status.ok()) return status;
  int64_t first_token = 0;
  for (const Segment& segment : step.segments) {
    if (segment.expanded) {
      Status status = attend_expanded(step, layer, segment, first_token, shared.expanded);
      if (!status.ok()) return status;
    }
    first_token += segment.count;
  }
  weights_.output.apply(values_.data(), step.num_tokens(), y);
  return {};
}

int64_t LatentAttention::bytes() const {
  return (weights_.query_down ? weights_.query_down->bytes() : 0) + weights_.query_up.bytes() +
         weights_.latent.bytes() + weights_.absorb_keys.bytes() + weights_.absorb_values.bytes() +
         weights_.output.bytes();
}

}  // namespace flash_mla::runtime
