// What a unit of few rows leaves behind.
#pragma once

#include "sm90/few_rows_softmax.cuh"
#include "sm90/output.cuh"

namespace flash_mla::sm90 {

/// A thread has of each row single columns of out, and the lane four further on has those next to them: they swap, so
/// that each has pairs of one row. store(column, first, second), of columns kChunkColumns c + thread_row() + 0 or 8.
template <int kValueChunks, int kRows, class Store>
__device__ __forceinline__ void store_row(const float (&sums)[kValueChunks][kRows / 2],
                                          const float (&factors)[kRows / 4], int block, bool exists, Store store) {
  const bool odd = threadIdx.x / 4 % 2 != 0;
  float pairs[2 * kValueChunks][2];
#pragma unroll
  for (int i = 0; i < 2 * kValueChunks; ++i) {
    const float of_even = sums[i / 2][4 * block + i % 2 * 2] * factors[2 * block];
    const float of_odd = sums[i / 2][4 * block + i % 2 * 2 + 1] * factors[2 * block + 1];
    const float received = __shfl_xor_sync(0xffffffff, odd ? of_even : of_odd, 4);
    pairs[i][0] = odd ? received : of_even;
    pairs[i][1] = odd ? of_odd : received;
  }
  if (!exists) return;
#pragma unroll
  for (int i = 0; i < 2 * kValueChunks; ++i) store(i / 2 * kChunkColumns + i % 2 * 8, pairs[i][0], pairs[i][1]);
}

template <Element kElement, int kValueChunks, int kRows, class Shared>
__device__ __forceinline__ void store_columns(const float (&sums)[kValueChunks][kRows / 2],
                                              const float (&factors)[kRows / 4], const DecodeParams& params,
                                              const Unit& unit, const Shared& shared) {
  const Outputs& outputs = params.outputs;
  const int lane = static_cast<int>(threadIdx.x) % 32, odd = lane / 4 % 2;
  const bool is_partial = unit.partial_row >= 0;
  const int32_t row_count = unit.row_count;
#pragma unroll
  for (int block = 0; block < kRows / 8; ++block) {
    const int row = 8 * block + lane % 4 * 2 + odd;
    const int64_t at = shared.out_at[row] + thread_row() - odd;
    const bool exists = row < row_count;
    if (is_partial) {
      // Rows of the workspace: aligned.
      float* const to = params.partial_out + at;
      store_row<kValueChunks, kRows>(sums, factors, block, exists, [to](int further, float first, float second) {
        *reinterpret_cast<float2*>(to + further) = {first, second};
      });
    } else if (outputs.out_is_float32 != 0) {
      float* const to = static_cast<float*>(outputs.out) + at;
      store_row<kValueChunks, kRows>(sums, factors, block, exists, [to](int further, float first, float second) {
        store_pair(to + further, first, second);
      });
    } else {
      uint16_t* const to = static_cast<uint16_t*>(outputs.out) + at;
      store_row<kValueChunks, kRows>(sums, factors, block, exists, [to](int further, float first, float second) {
        store_pair<kElement>(to + further, first, second);
      });
    }
  }
}

}  // namespace flash_mla::sm90
