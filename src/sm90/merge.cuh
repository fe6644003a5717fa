// Partial results of a split row block become one result (Flash-Decoding, Dao et al., 2023), parts in their order.
#pragma once

#include "ptx/dependent_launch.h"
#include "sm90/output.cuh"

namespace flash_mla::sm90 {

inline constexpr float kLog2E = 1.442695040888963407f;

__device__ __forceinline__ float over_warp(float value, bool sums) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(0xffffffff, value, distance);
    value = sums ? value + other : fmaxf(value, other);
  }
  return value;
}

/// Four adjacent columns.
template <Element kElement>
__device__ __forceinline__ void store_merged(const Outputs& outputs, int64_t at, const float (&values)[4]) {
  if (outputs.out_is_float32 != 0) {
    store_pair(static_cast<float*>(outputs.out) + at, values[0], values[1]);
    store_pair(static_cast<float*>(outputs.out) + at + 2, values[2], values[3]);
  } else {
    store_pair<kElement>(static_cast<uint16_t*>(outputs.out) + at, values[0], values[1]);
    store_pair<kElement>(static_cast<uint16_t*>(outputs.out) + at + 2, values[2], values[3]);
  }
}

/// A warp has kMergeColumns columns of a row, a lane four of them. May start before the decode is done. Empty parts
/// have lse -inf; where all are empty the row is empty.
template <Element kElement>
__device__ __forceinline__ void merge(const MergeParams& params) {
  constexpr int kAtOnce = 8;                     // loads under way
  const Merge item = params.merges[blockIdx.x];  // which the decode before does not write
  ptx::wait_for_previous_grid();
  const int warps_a_row = params.d_v / kMergeColumns;
  const int warp = static_cast<int>(blockIdx.y) * kMergeWarps + static_cast<int>(threadIdx.x) / 32;
  const int row = warp / warps_a_row, lane = static_cast<int>(threadIdx.x) % 32;
  if (row >= item.row_count) return;
  const int column = warp % warps_a_row * kMergeColumns + lane * 4;
  const int parts = item.num_parts - (planted(Defect::part_not_merged) ? 1 : 0);
  const auto row_of_part = [&](int part) { return item.first_partial + int64_t{part} * item.row_count + row; };
  const auto lse_of_part = [&](int part) { return part < parts ? params.partial_lse[row_of_part(part)] : -INFINITY; };

  const float first = lse_of_part(lane);
  float largest = first;
  for (int part = lane + 32; part < parts; part += 32) largest = fmaxf(largest, lse_of_part(part));
  largest = over_warp(largest, false);
  const float shift = largest == -INFINITY ? 0 : largest;

  const float* const columns = params.partial_out + row_of_part(0) * params.d_v + column;
  const int64_t part_stride = int64_t{item.row_count} * params.d_v;
  float sums[4] = {0, 0, 0, 0}, total = 0;
  for (int base = 0; base < parts; base += 32) {
    // A lane has the weight of one part; those beyond the last weigh nothing.
    const float weight = ptx::exp2(((base == 0 ? first : lse_of_part(base + lane)) - shift) * kLog2E);
    total += weight;
    for (int part = base; part < min(parts, base + 32); part += kAtOnce) {
      // Without a branch, so that all are under way at once: beyond the last part the last is loaded again.
      float4 values[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        values[i] = *reinterpret_cast<const float4*>(columns + min(part + i, parts - 1) * part_stride);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const float own = __shfl_sync(0xffffffff, weight, part - base + i);
        const bool exists = part + i < parts;
        sums[0] += exists ? own * values[i].x : 0;
        sums[1] += exists ? own * values[i].y : 0;
        sums[2] += exists ? own * values[i].z : 0;
        sums[3] += exists ? own * values[i].w : 0;
      }
    }
  }
  total = over_warp(total, true);
  const float factor = total == 0 ? 0 : 1 / total;
#pragma unroll
  for (float& sum : sums) sum *= factor;
  const Outputs& outputs = params.outputs;
  const auto place = [&](const RowStrides& strides) {
    return row_offset(strides, item.sequence, item.first_token, item.kv_head, outputs.group, item.row_begin + row);
  };
  store_merged<kElement>(outputs, place(outputs.out_strides) + column, sums);
  if (column == 0 && outputs.lse != nullptr) {
    outputs.lse[place(outputs.lse_strides)] = shift + ptx::log2(total) * kLn2;
  }
}

}  // namespace flash_mla::sm90
