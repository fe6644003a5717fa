// Planning where the lengths are.
#pragma once

#include "flash_mla/plan.h"

namespace flash_mla::internal {
struct PlanState;
}

namespace flash_mla::cuda {

/// Errors: unsupported, by what the planner on the device does not do.
Status check_planned_on_device(const PlanSpec& spec, int num_workers);

/// Launches the planner. `seqlens` has been checked, the workspace too. Errors: plan_mismatch (another device),
/// device_error.
Status plan_on_device(const internal::PlanState& plan, const ConstTensor& seqlens, void* workspace, void* stream);

}  // namespace flash_mla::cuda
