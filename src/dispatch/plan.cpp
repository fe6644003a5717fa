// Plans for the CPU backends: row blocks, their visible keys, the split over workers, and the workspace.
#include "flash_mla/plan.h"

#include <algorithm>

#include "core/error.h"
#include "core/problem.h"
#include "cuda/contents.h"
#include "cuda/decode.h"
#include "cuda/plan_on_device.h"
#include "dispatch/plan_state.h"
#include "dispatch/tuning.h"

namespace flash_mla {

namespace {

using internal::PlanState;
using internal::RowBlock;
using internal::WorkspaceLayout;

constexpr int kMaxWorkers = 1024;
// The planner makes at most 1024 units of a block and numbers them in 31 bits.
constexpr int64_t kMaxBlocks = (int64_t{1} << 21) - 1;

Status check_spec(const PlanSpec& spec) {
  const bool ragged = spec.cu_seqlens_q != nullptr;
  FLASH_MLA_RETURN_IF_ERROR(core::check_shape(spec.shape, ragged));
  FLASH_MLA_RETURN_IF_ERROR(core::check_mask(spec.mask));
  if (spec.mode != PlanMode::standard && spec.mode != PlanMode::batch_invariant) {
    return core::invalid("mode is {}; expected standard (0) or batch_invariant (1)", static_cast<int>(spec.mode));
  }
  if (spec.num_workers < 0 || spec.num_workers > kMaxWorkers) {
    return core::invalid("num_workers = {}; expected 0 (default) to {}", spec.num_workers, kMaxWorkers);
  }
  if (spec.lengths_on_device) return {};
  const int64_t batch = spec.shape.batch;
  if (batch > 0 && spec.seqlens == nullptr) return core::invalid("seqlens is null; expected [b] with b = {}", batch);
  ConstTensor cu_seqlens_q;
  if (ragged) cu_seqlens_q = {spec.cu_seqlens_q, DType::int32, {batch + 1}};
  return core::check_lengths({spec.seqlens, DType::int32, {batch}}, cu_seqlens_q, spec.shape.h_q);
}

int64_t s_q_of(const PlanSpec& spec, int64_t sequence) {
  return spec.cu_seqlens_q != nullptr ? spec.cu_seqlens_q[sequence + 1] - spec.cu_seqlens_q[sequence] : spec.shape.s_q;
}

/// Rows a block for `rows` rows: blocks of nearly equal size, whole panels but for the last.
int64_t rows_per_block(int64_t rows, int64_t most) {
  const int64_t blocks = (rows + most - 1) / most;
  return ((rows + blocks - 1) / blocks + 15) / 16 * 16;
}

Status check_block_count(const PlanSpec& spec, int64_t most_rows) {
  int64_t blocks = 0;
  for (int64_t i = 0; i < spec.shape.batch; ++i) {
    const int64_t rows = s_q_of(spec, i) * (spec.shape.h_q / spec.shape.h_kv);
    blocks += (rows + most_rows - 1) / most_rows * spec.shape.h_kv;
    if (blocks > kMaxBlocks)
      return core::invalid("b, s_q and h_q give more than {} blocks of query rows; split the batch", kMaxBlocks);
  }
  return {};
}

struct Largest {
  int64_t rows = 0, panels = 0;
};

/// Fills blocks and items; returns the rows and panels of the largest blocks.
Largest lay_out_blocks(const PlanSpec& spec, const dispatch::Tiling& tiling, PlanState& state) {
  const cpu::Kernels* kernels = state.backend->kernels;
  const int64_t group = spec.shape.h_q / spec.shape.h_kv;
  state.blocks.clear();
  state.items.clear();
  Largest largest;
  int64_t cost_rows = -1;
  double cost = 0;
  for (int64_t i = 0; i < spec.shape.batch; ++i) {
    const int64_t s_q = s_q_of(spec, i);
    const int64_t rows = s_q * group;
    if (rows == 0) continue;
    const int64_t step = rows_per_block(rows, tiling.most_rows);
    const int64_t most_heads = s_q == 1 ? tiling.most_heads : 1;
    for (int64_t head = 0; head < spec.shape.h_kv; head += most_heads) {
      const int64_t heads = std::min(most_heads, spec.shape.h_kv - head);
      for (int64_t row = 0; row < rows; row += step) {
        const int64_t count = std::min(step, rows - row) * heads;
        const core::KeyRange keys =
            heads > 1 ? core::visible_keys(spec.mask, spec.seqlens[i], 1, 0, 0)
                      : core::visible_keys(spec.mask, spec.seqlens[i], s_q, row / group, (row + count - 1) / group);
        if (count != cost_rows) {
          cost_rows = count;
          cost = kernels == nullptr ? dispatch::sm90_key_cost(spec.shape)
                                    : dispatch::key_cost(spec.shape, count, kernels->flops_per_ns);
        }
        state.blocks.push_back({static_cast<int32_t>(i), static_cast<int32_t>(head), static_cast<int32_t>(heads),
                                static_cast<int32_t>(row), static_cast<int32_t>(count), keys, -1});
        state.items.push_back({keys.size(), cost});
        largest = {std::max(largest.rows, count), std::max(largest.panels, cpu::num_panels(count, heads))};
      }
    }
  }
  return largest;
}

void assign_partials(PlanState& state) {
  state.split_blocks.clear();
  state.partial_rows = 0;
  for (size_t i = 0; i < state.blocks.size(); ++i) {
    RowBlock& block = state.blocks[i];
    const int32_t splits = state.schedule.num_splits[i];
    block.first_partial = splits > 1 ? state.partial_rows : -1;
    if (splits <= 1) continue;
    state.split_blocks.push_back(static_cast<int32_t>(i));
    state.partial_rows += int64_t{splits} * block.row_count;
  }
}

WorkspaceLayout lay_out_workspace(const PlanState& state, int64_t most_panels) {
  constexpr int64_t kLine = static_cast<int64_t>(kWorkspaceAlignment);
  const DecodeShape& shape = state.shape;
  WorkspaceLayout layout;
  int64_t size = 0;
  const auto take = [&size](int64_t bytes) {
    const int64_t offset = size;
    size += (bytes + kLine - 1) / kLine * kLine;
    return offset;
  };
  layout.queues = take(kLine * state.num_workers);
  layout.scratch_stride = static_cast<int64_t>(
      cpu::scratch_size(most_panels, static_cast<int>(shape.d), static_cast<int>(shape.d_v), shape.separate_v));
  layout.scratch = take(layout.scratch_stride * state.num_workers);
  layout.partial_out = take(4 * state.partial_rows * state.partial_width);
  layout.partial_lse = take(4 * state.partial_rows);
  layout.size = size;
  return layout;
}

/// Who will run a plan.
struct Runner {
  const dispatch::Backend* backend = nullptr;
  int num_workers = 0;
  int device = 0;  ///< of CUDA
};

/// Of a plan that is made anew where the device will plan.
void forget_lengths(PlanState& state) {
  state.seqlens.clear();
  state.blocks.clear();
  state.items.clear();
  state.split_blocks.clear();
  state.schedule.units.clear();
  state.schedule.num_splits.clear();
  state.partial_rows = 0;
}

void fill(const PlanSpec& spec, const Runner& runner, PlanState& state) {
  const dispatch::Backend* backend = runner.backend;
  const DecodeShape& shape = spec.shape;
  state.shape = shape;
  state.ragged = spec.cu_seqlens_q != nullptr;
  if (state.ragged) state.shape.s_q = 0;
  state.mask = spec.mask;
  state.mode = spec.mode;
  state.num_workers = runner.num_workers;
  state.backend = backend;
  state.device.device = runner.device;
  state.device.rows_per_block = state.device.row_blocks = 0;
  state.device.checks_contents = backend->info.on_cuda && cuda::checking_is_asked_for();
  state.cu_seqlens_q.clear();
  if (spec.lengths_on_device) {
    forget_lengths(state);
    const int64_t rows = shape.s_q * (shape.h_q / shape.h_kv);
    return cuda::make_room(
        state, rows_per_block(std::max<int64_t>(1, rows), dispatch::tiling_of(shape, true).most_rows), state.device);
  }
  state.seqlens.assign(spec.seqlens, spec.seqlens + shape.batch);
  if (state.ragged) state.cu_seqlens_q.assign(spec.cu_seqlens_q, spec.cu_seqlens_q + shape.batch + 1);

  const bool on_cuda = backend->info.on_cuda;
  const auto model_of = [&](int64_t rows) {
    return on_cuda ? dispatch::sm90_cost_model(shape, rows) : dispatch::cost_model(shape, rows);
  };
  const dispatch::Tiling tiling = dispatch::tiling_of(shape, on_cuda);
  const Largest largest = lay_out_blocks(spec, tiling, state);
  if (state.mode == PlanMode::batch_invariant) {
    // Costs decide where a sequence is split, so here they may not follow the batch's largest block.
    const int64_t group = shape.h_q / shape.h_kv;
    const int64_t heads = std::min(shape.h_kv, tiling.most_heads);
    const plan::CostModel model = model_of(std::min(group * heads, tiling.most_rows));
    plan::plan_invariant(state.items, state.num_workers, model, state.schedule);
  } else {
    const plan::CostModel model = model_of(std::max<int64_t>(1, largest.rows));
    plan::plan_balanced(state.items, state.num_workers, model, state.schedule);
  }
  assign_partials(state);
  if (on_cuda) {
    cuda::make_tables(state, state.device);
    return;
  }
  state.partial_width = (shape.d_v + 15) / 16 * 16;
  state.workspace = lay_out_workspace(state, largest.panels);
}

Result<Runner> check(const PlanSpec& spec) {
  FLASH_MLA_RETURN_IF_ERROR(check_spec(spec));
  const Result<const dispatch::Backend*> chosen = dispatch::choose_backend(spec.backend);
  if (!chosen.ok()) return chosen.status();
  Runner runner{chosen.value(), spec.num_workers, 0};
  const bool on_cuda = runner.backend->info.on_cuda;
  if (spec.lengths_on_device && !on_cuda) {
    return core::error(StatusCode::unsupported, "lengths_on_device is true: backend {} reads lengths on the host",
                       runner.backend->info.name);
  }
  FLASH_MLA_RETURN_IF_ERROR(check_block_count(spec, dispatch::tiling_of(spec.shape, on_cuda).most_rows));
  if (on_cuda) {
    FLASH_MLA_RETURN_IF_ERROR(cuda::check_shape(spec.shape));
    DecodeShape shape = spec.shape;
    if (spec.cu_seqlens_q != nullptr) shape.s_q = 0;
    FLASH_MLA_RETURN_IF_ERROR(cuda::bind_plan(shape, runner.num_workers, runner.device));
    if (spec.lengths_on_device) {
      FLASH_MLA_RETURN_IF_ERROR(cuda::check_planned_on_device(spec, runner.num_workers));
    }
  } else if (runner.num_workers == 0) {
    runner.num_workers = default_num_workers();
  }
  return runner;
}

}  // namespace

Plan::Plan(std::unique_ptr<PlanState> state) : state_(std::move(state)) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

Result<Plan> Plan::make(const PlanSpec& spec) {
  const Result<Runner> runner = check(spec);
  if (!runner.ok()) return runner.status();
  auto state = std::make_unique<PlanState>();
  fill(spec, runner.value(), *state);
  return Plan(std::move(state));
}

Status Plan::remake(const PlanSpec& spec) {
  const Result<Runner> runner = check(spec);
  if (!runner.ok()) return runner.status();
  fill(spec, runner.value(), *state_);
  return {};
}

size_t Plan::workspace_size() const {
  return static_cast<size_t>(state_->workspace_size());
}
const char* Plan::backend() const {
  return state_->backend->info.name;
}
int Plan::num_workers() const {
  return state_->num_workers;
}
int64_t Plan::num_units() const {
  return static_cast<int64_t>(state_->schedule.units.size());
}
int64_t Plan::num_split_units() const {
  int64_t units = 0;
  for (int32_t block : state_->split_blocks) units += state_->schedule.num_splits[block];
  return units;
}

}  // namespace flash_mla
