#include "model/paged_attention.h"

#include <algorithm>
#include <memory>

namespace flash_mla::runtime {
namespace {

ConstTensor first_rows(ConstTensor tensor, int64_t rows) {
  tensor.shape[0] = rows;
  return tensor;
}

}  // namespace

DecodeShape cached_shape(const ModelConfig& config, Precision precision, int64_t page_size) {
  DecodeShape shape;
  shape.dtype = dtype_of(precision);
  shape.out_dtype = DType::float32;
  shape.h_q = config.heads;
  shape.h_kv = config.kv_heads;
  shape.page_size = page_size;
  shape.separate_v = !config.latent;
  shape.d = config.latent ? config.latent->rank + config.latent->rope : config.head_width;
  shape.d_v = config.latent ? config.latent->rank : config.head_width;
  return shape;
}

Status PagedAttention::remake(std::span<const int32_t> seqlens) {
  PlanSpec spec;
  spec.shape = shape_;
  spec.shape.batch = static_cast<int64_t>(seqlens.size());
  spec.seqlens = seqlens.data();
  spec.cu_seqlens_q = cu_seqlens_.data();
  spec.num_workers = options_.threads;
  spec.backend = options_.backend;
  for (const int64_t window : windows_) {
    spec.mask = {true, window, 0};
    if (const auto found = plans_.find(window); found != plans_.end()) {
      if (Status status = found->second.remake(spec); !status.ok()) return status;
    } else {
      Result<Plan> plan = Plan::make(spec);
      if (!plan.ok()) return plan.status();
      plans_.emplace(window, std::move(plan).value());
    }
    const size_t bytes = plans_.at(window).workspace_size() + kWorkspaceAlignment;
    if (workspace_.size() < bytes) workspace_.resize(bytes);
  }
  return {};
}

Status PagedAttention::plan(const Step& step) {
  int64_t rows = 0;
  for (const Segment& segment : step.segments) {
    if (!segment.expanded) rows = std::max(rows, segment.row + 1);
  }
  cu_seqlens_.assign(static_cast<size_t>(rows + 1), 0);
  for (const Segment& segment : step.segments) {
    if (!segment.expanded) cu_seqlens_[segment.row + 1] = static_cast<int32_t>(segment.count);
  }
  for (int64_t row = 0; row < rows; ++row) cu_seqlens_[row + 1] += cu_seqlens_[row];
  if (rows == 0) return {};
  page_table_ = first_rows(step.cache->page_table(), rows);
  seqlens_ = first_rows(step.cache->seqlens(), rows);
  return remake({static_cast<const int32_t*>(seqlens_.data), static_cast<size_t>(rows)});
}

Status PagedAttention::plan_contiguous(int64_t queries, int64_t keys) {
  shape_.page_size = keys;
  own_seqlens_ = {static_cast<int32_t>(keys)};
  own_table_ = {0};
  cu_seqlens_ = {0, static_cast<int32_t>(queries)};
  seqlens_ = ConstTensor(own_seqlens_.data(), DType::int32, {1});
  page_table_ = ConstTensor(own_table_.data(), DType::int32, {1, 1});
  return remake(own_seqlens_);
}

Status PagedAttention::decode(const void* q, const Tensor& keys, const Tensor& values, int64_t window, float* out) {
  const Plan& plan = plans_.at(window);
  DecodeArgs args;
  args.q = ConstTensor(q, shape_.dtype, {num_queries(), shape_.h_q, shape_.d});
  args.k_cache = keys;
  args.v_cache = values;
  args.page_table = page_table_;
  args.seqlens = seqlens_;
  args.cu_seqlens_q = ConstTensor(cu_seqlens_.data(), DType::int32, {static_cast<int64_t>(cu_seqlens_.size())});
  args.out = Tensor(out, DType::float32, {num_queries(), shape_.h_q, shape_.d_v});
  args.scale = scale_;
  void* workspace = workspace_.data();
  size_t space = workspace_.size();
  args.workspace_size = plan.workspace_size();
  args.workspace = std::align(kWorkspaceAlignment, args.workspace_size, workspace, space);
  return flash_mla::decode(plan, args);
}

}  // namespace flash_mla::runtime
