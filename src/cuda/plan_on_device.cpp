#include "cuda/plan_on_device.h"

#include <algorithm>
#include <cmath>

#include "cuda/launch.h"
#include "dispatch/plan_state.h"
#include "dispatch/tuning.h"

namespace flash_mla::cuda {

namespace {

using internal::PlanState;

template <class T>
T* at(void* workspace, int64_t offset) {
  return reinterpret_cast<T*>(static_cast<char*>(workspace) + offset);
}

sm90::PlanParams plan_params(const PlanState& plan, const ConstTensor& seqlens, void* workspace) {
  const DecodeShape& shape = plan.shape;
  const DevicePlan& device = plan.device;
  const DeviceLayout& layout = device.layout;
  const int64_t group = shape.h_q / shape.h_kv;
  const plan::CostModel model =
      dispatch::sm90_cost_model(shape, std::min<int64_t>(device.rows_per_block, shape.s_q * group));
  sm90::PlanParams params{};
  params.seqlens = static_cast<const int32_t*>(seqlens.data);
  params.seqlens_stride = seqlens.strides[0];
  params.window = plan.mask.window;
  params.sinks = plan.mask.sinks;
  params.unit_cost = std::llround(model.unit_cost);
  params.split_cost = std::llround(model.split_cost);
  params.quantum_cost = std::llround(static_cast<double>(sm90::kTileKeys) * dispatch::sm90_key_cost(shape));
  params.causal = plan.mask.causal ? 1 : 0;
  params.batch = static_cast<int32_t>(shape.batch);
  params.s_q = static_cast<int32_t>(shape.s_q);
  params.h_kv = static_cast<int32_t>(shape.h_kv);
  params.group = static_cast<int32_t>(group);
  params.rows_per_block = device.rows_per_block;
  params.row_blocks = device.row_blocks;
  params.num_parts = plan.num_workers;
  params.num_merges = device.num_merges;
  params.units = at<sm90::Unit>(workspace, layout.units);
  params.part_begin = at<int32_t>(workspace, layout.part_begin);
  params.merges = at<sm90::Merge>(workspace, layout.merges);
  params.quanta = at<int32_t>(workspace, layout.quanta);
  params.order = at<int32_t>(workspace, layout.order);
  params.loads = at<int64_t>(workspace, layout.loads);
  params.planned = at<sm90::PlannedUnit>(workspace, layout.planned);
  params.items = at<sm90::PlannedItem>(workspace, layout.items);
  return params;
}

}  // namespace

Status check_planned_on_device(const PlanSpec& spec, int num_workers) {
  if (spec.cu_seqlens_q != nullptr) {
    return core::error(StatusCode::unsupported, "lengths_on_device is true with cu_seqlens_q: expected uniform q");
  }
  if (spec.mode != PlanMode::standard) {
    return core::error(StatusCode::unsupported, "lengths_on_device is true: expected mode standard (0)");
  }
  if (num_workers > sm90::kMostPlannedParts) {
    return core::error(StatusCode::unsupported, "num_workers is {} with lengths_on_device: expected at most {}",
                       num_workers, sm90::kMostPlannedParts);
  }
  const Result<Current> found = current();
  if (!found.ok()) return found.status();
  return function(found.value(), sm90::kPlanKernel, 0).status();
}

Status plan_on_device(const PlanState& plan, const ConstTensor& seqlens, void* workspace, void* stream) {
  const Result<Current> found = current();
  if (!found.ok()) return found.status();
  FLASH_MLA_RETURN_IF_ERROR(check_device(found.value(), plan.device.device));
  const Result<Function> kernel = function(found.value(), sm90::kPlanKernel, 0);
  if (!kernel.ok()) return kernel.status();
  sm90::PlanParams params = plan_params(plan, seqlens, workspace);
  void* arguments[] = {&params};
  return launch(found.value(), kernel.value(), {.threads = sm90::kPlanThreads}, static_cast<Stream>(stream), arguments);
}

}  // namespace flash_mla::cuda
