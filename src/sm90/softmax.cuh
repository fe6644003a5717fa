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

/// A weight rounded to bfloat16 is off by 1.1e-3 to 2.3e-3 of itself (root mean square), which moves out by that *
/// sqrt(sum w^2) of a value, w being the weights' shares of the sum. With the sum of squares below this, six standard
/// deviations are within the contract's 8e-4 for values N(0, 1). It is handed out over a row's tiles as the square of
/// the sum so far grows, so a row keeps to it however its tiles share it. A tile that needs more is multiplied by what
/// rounding took from its weights too: with N(0, 1) scores the first three of a row.
inline constexpr float kSquares = 1.0f / 128;

struct Softmax {
  float max[2];                // of a row's scores so far, times scale
  float sum[2];                // of weights relative to that
  Visible limits[2];           // of the thread's rows
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

  /// Turns scores into weights; `factors` is what sums so far have to be multiplied by. Returns whether some weight of
  /// the thread's rows stands out.
  __device__ bool step(float (&scores)[32], const Tile& tile, const DecodeParams& params, float (&factors)[2]) {
#pragma unroll
    for (float& score : scores) score *= params.scale_log2;
    if (!tile.is_whole() || tile.key < all_begin || tile.key + kTileKeys > all_end) hide(scores, tile, params.sinks);
    bool stands_out = false;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float in_tile = -INFINITY;
#pragma unroll
      for (int j = 2 * i; j < 32; j += 4) in_tile = fmaxf(in_tile, fmaxf(scores[j], scores[j + 1]));
      in_tile = row_max(in_tile);
      const float largest = fmaxf(max[i], in_tile);
      // A row that has seen no key yet: all its weights are 2^(-inf - 0).
      const float shift = largest == -INFINITY ? 0 : largest;
      factors[i] = ptx::exp2(max[i] - shift);
      if constexpr (planted(Defect::sums_not_rescaled)) factors[i] = 1;
      max[i] = largest;
      float total = 0, squares = 0;
#pragma unroll
      for (int j = 2 * i; j < 32; j += 4) {
        scores[j] = ptx::exp2(scores[j] - shift);
        scores[j + 1] = ptx::exp2(scores[j + 1] - shift);
        total += scores[j] + scores[j + 1];
        squares += scores[j] * scores[j] + scores[j + 1] * scores[j + 1];
      }
      total = row_sum(total);
      squares = row_sum(squares);
      sum[i] = sum[i] * factors[i] + total;
      stands_out |= squares > kSquares * total * (2 * sum[i] - total);
    }
    return stands_out;
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
      if (!seen && !(planted(Defect::tail_rows_not_masked) && in_tile >= tile.end)) scores[j] = -INFINITY;
    }
  }
};

}  // namespace flash_mla::sm90
