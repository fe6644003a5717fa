// What a plan knows.
#pragma once

#include <cstdint>
#include <vector>

#include "core/visibility.h"
#include "cuda/tables.h"
#include "dispatch/registry.h"
#include "flash_mla/plan.h"
#include "plan/split.h"

namespace flash_mla::internal {

/// Query rows that share their keys: rows [row_begin, row_begin + row_count) of one sequence's and KV head's s_q *
/// group; or all rows of several KV heads, where the sequence has one query token.
struct RowBlock {
  int32_t sequence = 0;
  int32_t kv_head = 0;
  int32_t kv_heads = 1;
  int32_t row_begin = 0;
  int32_t row_count = 0;
  core::KeyRange keys;
  int64_t first_partial = -1;  ///< row of its first part in the workspace's partial results; -1: not split
};

/// Byte offsets in the workspace of a CPU backend.
struct WorkspaceLayout {
  int64_t queues = 0;   ///< [workers] work left of each part, a cache line each
  int64_t scratch = 0;  ///< [workers][scratch_stride]
  int64_t scratch_stride = 0;
  int64_t partial_out = 0;  ///< [partial rows][partial_width] float32
  int64_t partial_lse = 0;  ///< [partial rows] float32
  int64_t size = 0;
};

struct PlanState {
  DecodeShape shape;
  bool ragged = false;
  Mask mask;
  PlanMode mode = PlanMode::standard;
  int num_workers = 1;
  const dispatch::Backend* backend = nullptr;
  std::vector<int32_t> seqlens;       ///< [b]
  std::vector<int32_t> cu_seqlens_q;  ///< [b + 1] where ragged

  std::vector<RowBlock> blocks;  ///< one a planner item
  std::vector<plan::Item> items;
  std::vector<int32_t> split_blocks;  ///< blocks with several units
  plan::Schedule schedule;
  int64_t partial_rows = 0;
  int64_t partial_width = 0;  ///< d_v rounded up to whole vectors
  WorkspaceLayout workspace;
  cuda::DevicePlan device;  ///< of a CUDA backend

  [[nodiscard]] bool planned_on_device() const { return device.rows_per_block > 0; }
  [[nodiscard]] bool has_work() const { return planned_on_device() ? device.layout.size > 0 : !schedule.units.empty(); }
  [[nodiscard]] int64_t workspace_size() const { return backend->info.on_cuda ? device.layout.size : workspace.size; }
};

}  // namespace flash_mla::internal
