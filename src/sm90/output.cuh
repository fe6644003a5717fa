// What a unit leaves behind.
#pragma once

#include "ptx/math.h"
#include "sm90/softmax.cuh"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

/// Two adjacent elements at any address that is aligned to one.
template <Element kElement>
__device__ __forceinline__ void store_pair(uint16_t* to, float first, float second) {
  const uint32_t pair = ptx::packed<kElement>(first, second);
  if (reinterpret_cast<uint64_t>(to) % 4 == 0) {
    *reinterpret_cast<uint32_t*>(to) = pair;
  } else {
    to[0] = static_cast<uint16_t>(pair);
    to[1] = static_cast<uint16_t>(pair >> 16);
  }
}
__device__ __forceinline__ void store_pair(float* to, float first, float second) {
  if (reinterpret_cast<uint64_t>(to) % 8 == 0) {
    *reinterpret_cast<float2*>(to) = {first, second};
  } else {
    to[0] = first;
    to[1] = second;
  }
}

/// The thread's two rows of the accumulators, times `factors`, to columns first_column and up.
template <Element kElement, int kColumns, int kCount>
__device__ void store_rows(const float (&sums)[kCount], const float (&factors)[2], int first_column,
                           const DecodeParams& params, const Unit& unit) {
  const Outputs& outputs = params.outputs;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = thread_row() + 8 * i;
    if (row >= unit.row_count) continue;
    const int column = first_column + static_cast<int>(threadIdx.x) % 4 * 2;
    const int64_t offset = row_offset(outputs.out_strides, unit.sequence, unit.first_token, unit.kv_head, outputs.group,
                                      unit.row_begin + row) +
                           column;
    float* const whole = unit.partial_row >= 0 ? params.partial_out + (unit.partial_row + row) * kColumns + column
                                               : static_cast<float*>(outputs.out) + offset;
    uint16_t* const rounded = static_cast<uint16_t*>(outputs.out) + offset;
    const bool rounds = unit.partial_row < 0 && outputs.out_is_float32 == 0;
#pragma unroll
    for (int j = 0; j < kCount / 4; ++j) {
      const float first = sums[4 * j + 2 * i] * factors[i], second = sums[4 * j + 2 * i + 1] * factors[i];
      if (rounds) {
        store_pair<kElement>(rounded + 8 * j, first, second);
      } else {
        store_pair(whole + 8 * j, first, second);
      }
    }
  }
}

__device__ __forceinline__ void store_lse(int row, float lse, const DecodeParams& params, const Unit& unit) {
  if (row >= unit.row_count) return;
  if (unit.partial_row >= 0) {
    params.partial_lse[unit.partial_row + row] = lse;
  } else if (params.outputs.lse != nullptr) {
    params.outputs.lse[row_offset(params.outputs.lse_strides, unit.sequence, unit.first_token, unit.kv_head,
                                  params.outputs.group, unit.row_begin + row)] = lse;
  }
}

inline constexpr float kLn2 = 0.693147180559945309f;

}  // namespace flash_mla::sm90
