// decode(): checks the call against its plan, then runs the plan's units and merges its splits.
#include "flash_mla/decode.h"

#include <atomic>
#include <cstring>

#include "core/error.h"
#include "core/problem.h"
#include "cuda/contents.h"
#include "cuda/decode.h"
#include "cuda/plan_on_device.h"
#include "dispatch/executor.h"
#include "dispatch/plan_state.h"
#include "dispatch/tuning.h"
#include "dispatch/work_queue.h"

namespace flash_mla {

namespace {

using core::Problem;
using internal::PlanState;
using internal::RowBlock;

Status mismatch(const char* what, int64_t planned, int64_t called) {
  return core::error(StatusCode::plan_mismatch, "plan was made for {} = {}, this call has {}; plan again", what,
                     planned, called);
}

Status check_against_plan(const PlanState& plan, const Problem& problem) {
  const DecodeShape& planned = plan.shape;
  const DecodeShape& called = problem.shape;
  if (plan.ragged != problem.ragged) {
    return core::error(StatusCode::plan_mismatch, "plan was made {} cu_seqlens_q, this call has {}; plan again",
                       plan.ragged ? "with" : "without", problem.ragged ? "it" : "none");
  }
  if (planned.dtype != called.dtype || planned.out_dtype != called.out_dtype) {
    return core::error(
        StatusCode::plan_mismatch, "plan was made for dtype {} and out {}, this call has {} and {}; plan again",
        name_of(planned.dtype), name_of(planned.out_dtype), name_of(called.dtype), name_of(called.out_dtype));
  }
  if (planned.batch != called.batch) return mismatch("b", planned.batch, called.batch);
  if (planned.s_q != called.s_q) return mismatch("s_q", planned.s_q, called.s_q);
  if (planned.h_q != called.h_q) return mismatch("h_q", planned.h_q, called.h_q);
  if (planned.h_kv != called.h_kv) return mismatch("h_kv", planned.h_kv, called.h_kv);
  if (planned.d != called.d) return mismatch("d", planned.d, called.d);
  if (planned.page_size != called.page_size) return mismatch("page_size", planned.page_size, called.page_size);
  if (planned.separate_v != called.separate_v) {
    return core::error(StatusCode::plan_mismatch, "plan was made {} v_cache, this call has {}; plan again",
                       planned.separate_v ? "with" : "without", called.separate_v ? "one" : "none");
  }
  if (plan.ragged && plan.backend->info.on_cuda && plan.cu_seqlens_q.back() != problem.total_q) {
    return mismatch("total_q", plan.cu_seqlens_q.back(), problem.total_q);
  }
  return {};
}

/// Of arrays in host memory.
Status check_contents(const PlanState& plan, const Problem& problem) {
  const int64_t batch = problem.shape.batch;
  for (int64_t i = 0; i < batch && !plan.planned_on_device(); ++i) {
    if (plan.seqlens[i] != problem.s_k(i)) {
      return core::error(StatusCode::plan_mismatch, "plan was made for seqlens[{}] = {}, this call has {}; plan again",
                         i, plan.seqlens[i], problem.s_k(i));
    }
  }
  for (int64_t i = 0; plan.ragged && i <= batch; ++i) {
    if (plan.cu_seqlens_q[i] != problem.first_query(i)) {
      return core::error(StatusCode::plan_mismatch,
                         "plan was made for cu_seqlens_q[{}] = {}, this call has {}; plan again", i,
                         plan.cu_seqlens_q[i], problem.first_query(i));
    }
  }
  return core::check_contents(problem, plan.mask);
}

/// The checking mode of a CUDA backend.
Status check_contents_on_device(const PlanState& plan, const Problem& problem, void* stream) {
  Problem seen = problem;
  cuda::Contents contents;
  FLASH_MLA_RETURN_IF_ERROR(contents.bring(seen, stream));
  return check_contents(plan, seen);
}

Status check_workspace(const PlanState& plan, void* workspace, size_t workspace_size) {
  const size_t needed = static_cast<size_t>(plan.workspace_size());
  if (needed == 0) return {};
  if (workspace == nullptr) return core::invalid("workspace is null; expected {} bytes", needed);
  if (workspace_size < needed) {
    return core::invalid("workspace_size = {}; expected at least plan.workspace_size() = {}", workspace_size, needed);
  }
  if (reinterpret_cast<uintptr_t>(workspace) % kWorkspaceAlignment != 0) {
    return core::invalid("workspace is at address {}; expected a multiple of {}", workspace, kWorkspaceAlignment);
  }
  return {};
}

cpu::Element element_of(DType dtype) {
  switch (dtype) {
    case DType::bfloat16:
      return cpu::Element::bfloat16;
    case DType::float16:
      return cpu::Element::float16;
    default:
      return cpu::Element::float32;
  }
}

/// One decode call under way.
class Run {
 public:
  Run(const PlanState& plan, const Problem& problem, void* workspace)
      : plan_(plan),
        problem_(problem),
        workspace_(static_cast<char*>(workspace)),
        queues_(workspace_ + plan.workspace.queues) {
    for (int p = 0; p < plan.num_workers; ++p) {
      queues_.fill(p, plan.schedule.part_begin[p], plan.schedule.part_begin[p + 1]);
    }
  }

  /// Does this worker's part, then helps the others.
  void work(int worker) {
    char* scratch = workspace_ + plan_.workspace.scratch + worker * plan_.workspace.scratch_stride;
    for (int i = 0; i < plan_.num_workers; ++i) {
      const int part = (worker + i) % plan_.num_workers;
      for (int32_t unit; (unit = i == 0 ? queues_.take_front(part) : queues_.take_back(part)) >= 0;)
        attend(unit, i == 0 ? queues_.front(part) : -1, scratch);
    }
  }

  /// Merges the worker's share of the rows of every split block.
  void merge(int worker) const {
    for (int32_t index : plan_.split_blocks) {
      const RowBlock& block = plan_.blocks[index];
      const int64_t first = int64_t{block.row_count} * worker / plan_.num_workers;
      const int64_t last = int64_t{block.row_count} * (worker + 1) / plan_.num_workers;
      if (first == last) continue;
      const cpu::MergeRows rows = {partial_out(block.first_partial),
                                   partial_lse(block.first_partial),
                                   plan_.schedule.num_splits[index],
                                   block.row_count,
                                   plan_.shape.d_v,
                                   plan_.partial_width,
                                   group_of(block),
                                   block.row_begin,
                                   out_rows(block),
                                   lse_rows(block)};
      plan_.backend->kernels->merge(rows, first, last);
    }
  }

 private:
  float* partial_out(int64_t row) const {
    return reinterpret_cast<float*>(workspace_ + plan_.workspace.partial_out) + row * plan_.partial_width;
  }
  float* partial_lse(int64_t row) const {
    return reinterpret_cast<float*>(workspace_ + plan_.workspace.partial_lse) + row;
  }

  /// Rows a query token of the block. One of several KV heads has a single token.
  [[nodiscard]] int64_t group_of(const RowBlock& block) const {
    return block.kv_heads > 1 ? block.row_count : problem_.group();
  }

  cpu::OutRows out_rows(const RowBlock& block) const {
    const Tensor& out = problem_.out;
    const int64_t offset =
        problem_.sequence_offset(out, block.sequence) + block.kv_head * problem_.group() * problem_.head_stride(out);
    return {static_cast<char*>(out.data) + offset * static_cast<int64_t>(size_of(out.dtype)),
            problem_.token_stride(out), problem_.head_stride(out), element_of(out.dtype)};
  }
  cpu::LseRows lse_rows(const RowBlock& block) const {
    if (problem_.lse.absent()) return {nullptr, 0, 0};
    const int64_t offset =
        problem_.lse_offset(block.sequence) + block.kv_head * problem_.group() * problem_.lse_head_stride();
    return {static_cast<float*>(problem_.lse.data) + offset, problem_.lse_token_stride(), problem_.lse_head_stride()};
  }
  cpu::KeyPages key_pages(const RowBlock& block) const {
    const auto head = [&](const ConstTensor& cache) -> const void* {
      if (cache.absent()) return nullptr;
      return static_cast<const char*>(cache.data) +
             block.kv_head * cache.strides[2] * static_cast<int64_t>(size_of(cache.dtype));
    };
    const ConstTensor &k = problem_.k_cache, &v = problem_.v_cache, &table = problem_.page_table;
    return {head(k),
            head(v),
            k.strides[0],
            k.strides[1],
            k.strides[2],
            v.strides[0],
            v.strides[1],
            v.strides[2],
            static_cast<const int32_t*>(table.data) + block.sequence * table.strides[0],
            table.strides[1],
            std::min<int64_t>(plan_.shape.page_size, INT32_MAX)};
  }

  void attend(int32_t index, int32_t next_index, void* scratch) const {
    const cpu::Unit unit = unit_of(index);
    const cpu::Unit next = next_index < 0 ? cpu::Unit() : unit_of(next_index);
    plan_.backend->kernels->attend[static_cast<int>(element_of(plan_.shape.dtype))](
        unit, next_index < 0 ? nullptr : &next, scratch);
  }

  [[nodiscard]] cpu::Unit unit_of(int32_t index) const {
    const plan::Unit& piece = plan_.schedule.units[index];
    const RowBlock& block = plan_.blocks[piece.item];
    const ConstTensor& q = problem_.q;
    const int64_t group = problem_.group();
    const int64_t q_offset =
        problem_.sequence_offset(q, block.sequence) + block.kv_head * group * problem_.head_stride(q);

    cpu::Unit unit;
    unit.q = {static_cast<const char*>(q.data) + q_offset * static_cast<int64_t>(size_of(q.dtype)),
              problem_.token_stride(q), problem_.head_stride(q)};
    unit.keys = key_pages(block);
    unit.group = group_of(block);
    unit.kv_heads = block.kv_heads;
    unit.row_begin = block.row_begin;
    unit.row_count = block.row_count;
    unit.begin = piece.begin;
    unit.end = piece.end;
    unit.sink_end = block.keys.sink_end;
    unit.window_begin = block.keys.window_begin;
    unit.s_k = plan_.seqlens[block.sequence];
    unit.s_q = problem_.s_q(block.sequence);
    unit.causal = plan_.mask.causal;
    unit.window = plan_.mask.window;
    unit.sinks = plan_.mask.window > 0 ? plan_.mask.sinks : 0;
    unit.d = static_cast<int>(plan_.shape.d);
    unit.d_v = static_cast<int>(plan_.shape.d_v);
    unit.scale = static_cast<float>(problem_.scale);
    if (block.first_partial < 0) {
      unit.out = out_rows(block);
      unit.lse = lse_rows(block);
    } else {
      // The partial rows of a part lie one after another, from the block's first row on.
      const int64_t row = block.first_partial + int64_t{piece.split} * block.row_count - block.row_begin;
      unit.out = {partial_out(row), unit.group * plan_.partial_width, plan_.partial_width, cpu::Element::float32};
      unit.lse = {partial_lse(row), unit.group, 1};
    }
    return unit;
  }

  const PlanState& plan_;
  const Problem& problem_;
  char* workspace_;
  dispatch::WorkQueues queues_;
};

}  // namespace

Status Plan::upload(void* workspace, size_t workspace_size, void* stream) const {
  if (!state_->backend->info.on_cuda) return {};
  FLASH_MLA_RETURN_IF_ERROR(check_workspace(*state_, workspace, workspace_size));
  if (state_->planned_on_device()) return core::invalid("the plan has lengths_on_device; call plan_on_device()");
  if (!state_->has_work()) return {};
  return cuda::upload(*state_, workspace, stream);
}

Status Plan::plan_on_device(const ConstTensor& seqlens, void* workspace, size_t workspace_size, void* stream) const {
  if (!state_->planned_on_device()) return core::invalid("the plan was made without lengths_on_device");
  FLASH_MLA_RETURN_IF_ERROR(core::check_seqlens(seqlens, state_->shape.batch));
  FLASH_MLA_RETURN_IF_ERROR(check_workspace(*state_, workspace, workspace_size));
  if (!state_->has_work()) return {};
  return cuda::plan_on_device(*state_, seqlens, workspace, stream);
}

Status decode(const Plan& plan, const DecodeArgs& args) {
  const PlanState& state = plan.state();
  Problem problem;
  FLASH_MLA_RETURN_IF_ERROR(core::read_arrays(args, state.shape.d_v, true, problem));
  FLASH_MLA_RETURN_IF_ERROR(check_against_plan(state, problem));
  const bool on_cuda = state.backend->info.on_cuda;
  if (!on_cuda) FLASH_MLA_RETURN_IF_ERROR(check_contents(state, problem));
  if (state.device.checks_contents) FLASH_MLA_RETURN_IF_ERROR(check_contents_on_device(state, problem, args.stream));
  FLASH_MLA_RETURN_IF_ERROR(check_workspace(state, args.workspace, args.workspace_size));
  if (args.executor != nullptr && args.executor->parallel_for == nullptr) {
    return core::invalid("executor.parallel_for is null; expected a function, or no executor");
  }
  if (!state.has_work()) return {};
  if (on_cuda) return cuda::decode(state, problem, args);

  Run run(state, problem, args.workspace);
  const int workers = state.num_workers;
  auto task = [&run](int phase, int worker) { phase == 0 ? run.work(worker) : run.merge(worker); };
  dispatch::run_phases(args.executor, state.split_blocks.empty() ? 1 : 2, workers, task);
  return {};
}

}  // namespace flash_mla
