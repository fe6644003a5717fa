// What a unit of few rows leaves behind.
#pragma once

#include "sm90/few_rows_softmax.cuh"
#include "sm90/output.cuh"

namespace flash_mla::sm90 {

/// A thread has of each row single columns of out, and the lane four further on has those next to them: they swap, so
/// that each stores pairs of one row.
template <Element kElement, int kValueChunks, int kRows, class Shared>
__device__ __forceinline__ void store_columns(const float (&sums)[kValueChunks][kRows / 2],
                                              const float (&factors)[kRows / 4], const DecodeParams& params,
                                              const Unit& unit, const Shared& shared) {
  const Outputs& outputs = params.outputs;
  const int lane = static_cast<int>(threadIdx.x) % 32, odd = lane / 4 % 2;
  const bool rounds = unit.partial_row < 0 && outputs.out_is_float32 == 0;
  float* const whole = unit.partial_row >= 0 ? params.partial_out : static_cast<float*>(outputs.out);
#pragma unroll
  for (int j = 0; j < kRows / 8; ++j) {
    const int row = 8 * j + lane % 4 * 2 + odd;
    const int64_t at = shared.out_at[row] + thread_row() - odd;
#pragma unroll
    for (int i = 0; i < 2 * kValueChunks; ++i) {
      const float of_even = sums[i / 2][4 * j + i % 2 * 2] * factors[2 * j];
      const float of_odd = sums[i / 2][4 * j + i % 2 * 2 + 1] * factors[2 * j + 1];
      const float received = __shfl_xor_sync(0xffffffff, odd != 0 ? of_even : of_odd, 4);
      if (row >= unit.row_count) continue;
      const float first = odd != 0 ? received : of_even, second = odd != 0 ? of_odd : received;
      const int64_t further = at + i / 2 * kChunkColumns + i % 2 * 8;
      if (rounds) {
        store_pair<kElement>(static_cast<uint16_t*>(outputs.out) + further, first, second);
      } else {
        store_pair(whole + further, first, second);
      }
    }
  }
}

}  // namespace flash_mla::sm90
