// Decode on the device: what the sm90 kernels take, and their launches.
#pragma once

#include "core/problem.h"
#include "flash_mla/decode.h"
#include "flash_mla/plan.h"

namespace flash_mla::internal {
struct PlanState;
}

namespace flash_mla::cuda {

/// Errors: unsupported (a dtype or widths that there is no kernel for).
Status check_shape(const DecodeShape& shape);

/// For ragged q `shape` has s_q = 0, as a plan's. The device of the current context, its streaming multiprocessors for
/// num_workers = 0. Loads the kernels there, so that decode does nothing for the first time. Errors: those of
/// current(), and device_error.
Status bind_plan(const DecodeShape& shape, int& num_workers, int& device);

/// Copies the plan's tables to the workspace, in the stream's order.
Status upload(const internal::PlanState& plan, void* workspace, void* stream);

/// Launches the kernels of a checked call. Errors: unsupported (too many pages), plan_mismatch (another device),
/// device_error.
Status decode(const internal::PlanState& plan, const core::Problem& problem, const DecodeArgs& args);

}  // namespace flash_mla::cuda
