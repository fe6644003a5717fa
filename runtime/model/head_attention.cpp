#include "model/head_attention.h"

#include "flash_mla/append.h"

namespace flash_mla::runtime {

Status HeadAttention::apply(const Step& step, int64_t layer, AttentionShared& shared, const float* x, float* y) {
  const int64_t tokens = step.num_tokens();
  const DType dtype = dtype_of(precision_);
  queries_.resize(static_cast<size_t>(tokens * heads_ * head_));
  keys_.resize(static_cast<size_t>(tokens * kv_heads_ * head_));
  values_.resize(keys_.size());
  weights_.query.apply(x, tokens, queries_.data());
  weights_.key.apply(x, tokens, keys_.data());
  weights_.value.apply(x, tokens, values_.data());
  if (weights_.query_norm) {
    weights_.query_norm->apply(queries_.data(), head_, tokens * heads_, queries_.data(), head_);
    weights_.key_norm->apply(keys_.data(), head_, tokens * kv_heads_, keys_.data(), head_);
  }
  if (turned_) {
    shared.rotary.apply(queries_.data(), heads_ * head_, heads_, head_);
    shared.rotary.apply(keys_.data(), kv_heads_ * head_, kv_heads_, head_);
  }
  const int64_t count = tokens * kv_heads_ * head_;
  AppendArgs args;
  args.rows = ConstTensor(rounded_.round(keys_.data(), count, precision_), dtype, {tokens, kv_heads_, head_});
  args.v_rows =
      ConstTensor(rounded_values_.round(values_.data(), count, precision_), dtype, {tokens, kv_heads_, head_});
  args.slot_mapping = ConstTensor(step.slots.data(), DType::int64, {tokens});
  args.k_cache = step.arrays->keys(layer);
  args.v_cache = step.arrays->values(layer);
  if (Status status = append(args); !status.ok()) return status;

  const void* queries = rounded_.round(queries_.data(), tokens * heads_ * head_, precision_);
  std::vector<float>& attended = queries_;
  if (precision_ == Precision::float32) {
    // The queries are read in place, so their result needs a place of its own.
    values_.resize(queries_.size());
    if (Status status = shared.paged.decode(queries, args.k_cache, args.v_cache, window_, values_.data());
        !status.ok()) {
      return status;
    }
    std::swap(attended, values_);
  } else if (Status status = shared.paged.decode(queries, args.k_cache, args.v_cache, window_, attended.data());
             !status.ok()) {
    return status;
  }
  weights_.output.apply(attended.data(), tokens, y);
  return {};
}

}  // namespace flash_mla::runtime
