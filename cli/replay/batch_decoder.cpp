#include "replay/batch_decoder.h"

#include <memory>
#include <utility>

namespace flash_mla::cli {
namespace {

// Where a step's queries may start in the pool: a prime, in heads, so that neighbouring steps share no row's query.
constexpr int64_t kQueryStarts = 1021;

ConstTensor first_rows(ConstTensor tensor, int64_t rows) {
  tensor.shape[0] = rows;
  return tensor;
}

}  // namespace

BatchDecoder::BatchDecoder(const ModelGeometry& model, const Mask& mask, int64_t max_batch, std::string backend,
                           int threads, uint64_t seed)
    : model_(model),
      mask_(mask),
      backend_(std::move(backend)),
      threads_(threads),
      seed_(seed),
      queries_(max_batch * model.heads + kQueryStarts, model.d(), seed + 1),
      out_(static_cast<size_t>(max_batch * model.heads * model.d_v())),
      lse_(static_cast<size_t>(max_batch * model.heads)) {}

Status BatchDecoder::plan(const KvCache& cache, int64_t rows) {
  PlanSpec spec;
  spec.shape.batch = rows;
  spec.shape.h_q = model_.heads;
  spec.shape.d = model_.d();
  spec.shape.d_v = model_.d_v();
  spec.shape.page_size = cache.geometry().page_size;
  spec.seqlens = static_cast<const int32_t*>(cache.seqlens().data);
  spec.mask = mask_;
  spec.num_workers = threads_;
  spec.backend = backend_;
  if (plan_) {
    if (Status status = plan_->remake(spec); !status.ok()) return status;
  } else {
    Result<Plan> plan = Plan::make(spec);
    if (!plan.ok()) return plan.status();
    plan_.emplace(std::move(plan).value());
  }
  const size_t bytes = plan_->workspace_size() + kWorkspaceAlignment;
  if (workspace_.size() < bytes) workspace_.resize(bytes);
  rows_ = rows;
  return {};
}

Status BatchDecoder::decode(const KvCache& cache, const Tensor& k_cache, int64_t step, int64_t layer) {
  const uint64_t start = hash(seed_, static_cast<uint64_t>(step), static_cast<uint64_t>(layer)) % kQueryStarts;
  args_.q =
      ConstTensor(queries_.row(static_cast<int64_t>(start)), DType::bfloat16, {rows_, 1, model_.heads, model_.d()});
  args_.k_cache = k_cache;
  args_.page_table = first_rows(cache.page_table(), rows_);
  args_.seqlens = first_rows(cache.seqlens(), rows_);
  args_.out = Tensor(out_.data(), DType::bfloat16, {rows_, 1, model_.heads, model_.d_v()});
  args_.lse = Tensor(lse_.data(), DType::float32, {rows_, model_.heads, 1});
  args_.scale = model_.scale;
  void* workspace = workspace_.data();
  size_t space = workspace_.size();
  args_.workspace_size = plan_->workspace_size();
  args_.workspace = std::align(kWorkspaceAlignment, args_.workspace_size, workspace, space);
  return flash_mla::decode(*plan_, args_);
}

}  // namespace flash_mla::cli
