// Partial results of a split row block become one result (Flash-Decoding, Dao et al., 2023), parts in their order.
#pragma once

#include "ptx/dependent_launch.h"
#include "sm90/output.cuh"

namespace flash_mla::sm90 {

inline constexpr float kLog2E = 1.442695040888963407f;

/// A warp a row. May start before the decode is done. Empty parts have lse -inf; where all are empty the row is empty.
template <Element kElement>
__device__ __forceinline__ void merge(const MergeParams& params) {
  const Merge item = params.merges[blockIdx.x];  // which the decode before does not write
  ptx::wait_for_previous_grid();
  const int row = static_cast<int>(blockIdx.y) * kMergeRows + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (row >= item.row_count) return;
  const float* const lse = params.partial_lse + item.first_partial + row;
  const int parts = item.num_parts - (planted(Defect::part_not_merged) ? 1 : 0);

  float largest = -INFINITY;
  for (int part = lane; part < parts; part += 32) {
    largest = fmaxf(largest, lse[static_cast<int64_t>(part) * item.row_count]);
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, distance));
  }
  const float shift = largest == -INFINITY ? 0 : largest;
  float total = 0;
  for (int part = 0; part < parts; ++part) {
    total += ptx::exp2((lse[static_cast<int64_t>(part) * item.row_count] - shift) * kLog2E);
  }
  const float factor = total == 0 ? 0 : 1 / total;
  const Outputs& outputs = params.outputs;
  const int64_t out = row_offset(outputs.out_strides, item.sequence, item.first_token, item.kv_head, outputs.group,
                                 item.row_begin + row);
  for (int column = lane * 4; column < params.d_v; column += 128) {
    float sums[4] = {0, 0, 0, 0};
    for (int part = 0; part < parts; ++part) {
      const int64_t partial = item.first_partial + static_cast<int64_t>(part) * item.row_count + row;
      const float weight = ptx::exp2((params.partial_lse[partial] - shift) * kLog2E) * factor;
      const float4 values = *reinterpret_cast<const float4*>(params.partial_out + partial * params.d_v + column);
      sums[0] += weight * values.x;
      sums[1] += weight * values.y;
      sums[2] += weight * values.z;
      sums[3] += weight * values.w;
    }
    if (outputs.out_is_float32 != 0) {
      store_pair(static_cast<float*>(outputs.out) + out + column, sums[0], sums[1]);
      store_pair(static_cast<float*>(outputs.out) + out + column + 2, sums[2], sums[3]);
    } else {
      store_pair<kElement>(static_cast<uint16_t*>(outputs.out) + out + column, sums[0], sums[1]);
      store_pair<kElement>(static_cast<uint16_t*>(outputs.out) + out + column + 2, sums[2], sums[3]);
    }
  }
  if (lane == 0 && outputs.lse != nullptr) {
    outputs.lse[row_offset(outputs.lse_strides, item.sequence, item.first_token, item.kv_head, outputs.group,
                           item.row_begin + row)] = shift + ptx::log2(total) * kLn2;
  }
}

}  // namespace flash_mla::sm90
