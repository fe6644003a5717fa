// The running softmax of two rows a thread (Milakov & Gimelshein, 2018), in base 2.
#pragma once

#include "ptx/math.h"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

/// Row 16 (t / 32) + t % 32 / 4 of the warpgroup's thread t, and the row 8 further down.
__device__ __forceinline__ int thread_row() {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  return thread / 32 * 16 + thread % 32 / 4;
}

/// Four lanes share a row.
__device__ __forceinline__ float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffff, value, 2));
}
__device__ __forceinline__ float row_sum(float value) {
  value += __shfl_xor_sync(0xffffffff, value, 1);
  return value + __shfl_xor_sync(0xffffffff, value, 2);
}

struct Softmax {
  float max[2];          // of a row's scores so far, times scale
  float sum[2];          // of weights relative to that: of this thread's columns
  Visible limits[2];     // of the thread's rows
  int32_t all_begin, all_end;  // keys that all of the unit's rows see

  __device__ Softmax(const DecodeParams& params, const Unit& unit) {
    const int32_t group = params.outputs.group, last = unit.row_begin + unit.row_count - 1;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      max[i] = -INFINITY;
      sum[i] = 0;
      limits[i] = visible(params, unit, min(last, unit.row_begin + thread_row() + 8 * i) / group);
    }
    all_begin = visible(params, unit, last / group).begin;
    all_end = visible(params, unit, unit.row_begin / group).end;
  }

  /// Turns scores into weights; `factors` is what sums so far have to be multiplied by.
  __device__ void step(float (&scores)[32], const Tile& tile, const DecodeParams& params, float (&factors)[2]) {
#pragma unroll
    for (float& score : scores) score *= params.scale_log2;
    if (!tile.is_whole() || tile.key < all_begin || tile.key + kTileKeys > all_end) hide(scores, tile, params.sinks);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float largest = max[i];
#pragma unroll
      for (int j = 2 * i; j < 32; j += 4) largest = fmaxf(largest, fmaxf(scores[j], scores[j + 1]));
      largest = row_max(largest);
      // A row that has seen no key yet: all its weights are 2^(-inf - 0).
      const float shift = largest == -INFINITY ? 0 : largest;
      factors[i] = ptx::exp2(max[i] - shift);
      if constexpr (planted(Defect::sums_not_rescaled)) factors[i] = 1;
      max[i] = largest;
      float total = 0;
#pragma unroll
      for (int j = 2 * i; j < 32; j += 4) {
        scores[j] = ptx::exp2(scores[j] - shift);
        scores[j + 1] = ptx::exp2(scores[j + 1] - shift);
        total += scores[j] + scores[j + 1];
      }
      sum[i] = sum[i] * factors[i] + total;
    }
  }

 private:
  __device__ void hide(float (&scores)[32], const Tile& tile, int32_t sinks) {
    const int32_t column = static_cast<int32_t>(threadIdx.x) % 4 * 2;
#pragma unroll
    for (int j = 0; j < 32; ++j) {
      const int32_t in_tile = j / 4 * 8 + column + j % 2, key = tile.key + in_tile;
      const Visible& row = limits[j / 2 % 2];
      const bool seen =
          in_tile >= tile.begin && in_tile < tile.end && key < row.end && (key >= row.begin || key < sinks);
      if (!seen) scores[j] = -INFINITY;
    }
  }
};

}  // namespace flash_mla::sm90
