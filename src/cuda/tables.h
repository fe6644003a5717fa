// A plan as the device's kernels read it: units, parts and merges. Pure: nothing of CUDA is called.
#pragma once

#include <cstdint>
#include <vector>

#include "sm90/params.h"

namespace flash_mla::internal {
struct PlanState;
}

namespace flash_mla::cuda {

/// What of the workspace is what: byte offsets.
struct DeviceLayout {
  int64_t units = 0;       ///< [units] sm90::Unit
  int64_t merges = 0;      ///< [merges] sm90::Merge
  int64_t part_begin = 0;  ///< [parts + 1] int32
  int64_t tables = 0;      ///< bytes of the three, which come first
  // What the planner on the device remembers (sm90::PlanParams).
  int64_t quanta = 0;
  int64_t order = 0;
  int64_t loads = 0;
  int64_t planned = 0;
  int64_t items = 0;
  int64_t partial_out = 0;
  int64_t partial_lse = 0;
  int64_t size = 0;
};

struct DevicePlan {
  std::vector<char> tables;  ///< the first layout.tables bytes of the workspace
  DeviceLayout layout;
  int32_t num_merges = 0;
  int32_t rows_per_block = 0;  ///< where the device plans; else 0
  int32_t row_blocks = 0;      ///< of every sequence and KV head, likewise
  int device = 0;
  bool checks_contents = false;  ///< decode() looks at lengths and page table first
};

/// From a plan whose blocks are of one KV head and at most kTileRows rows.
void make_tables(const internal::PlanState& plan, DevicePlan& device);

/// Where the device plans: room for whatever the lengths will be.
void make_room(const internal::PlanState& plan, int64_t rows_per_block, DevicePlan& device);

}  // namespace flash_mla::cuda
