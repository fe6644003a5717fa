// The running softmax where keys run along the rows of the scores, and query rows along their columns: each of the four
// warps has 16 keys of the tile, and a thread 2 keys of kRows / 4 query rows.
#pragma once

#include "ptx/math.h"
#include "sm90/few_rows_memory.h"
#include "sm90/softmax.cuh"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

struct Maximum {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

/// Of each of kCount rows, over the eight lanes that share it. While there are several rows, lanes keep half of them
/// and send the other half, so that in the end lane l has row l / (32 / kCount).
template <class Operation, int kCount, int kDistance = 16>
__device__ __forceinline__ float over_lanes(const float (&values)[kCount], Operation operation = {}) {
  if constexpr (kDistance < 4) {
    static_assert(kCount == 1);
    return values[0];
  } else if constexpr (kCount == 1) {
    const float both[1] = {operation(values[0], __shfl_xor_sync(0xffffffff, values[0], kDistance))};
    return over_lanes<Operation, 1, kDistance / 2>(both);
  } else {
    const bool upper = (threadIdx.x & kDistance) != 0;
    float half[kCount / 2];
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) {
      const float kept = upper ? values[kCount / 2 + i] : values[i];
      const float sent = upper ? values[i] : values[kCount / 2 + i];
      half[i] = operation(kept, __shfl_xor_sync(0xffffffff, sent, kDistance));
    }
    return over_lanes<Operation, kCount / 2, kDistance / 2>(half);
  }
}

/// Where all shares of a row's sum are below this, their squares add up to less than kSquares (softmax.cuh); a tile
/// with larger ones is multiplied by what rounding took from its weights too.
inline constexpr float kShare = kSquares;

template <int kChunks, int kRows>
struct FewRowsSoftmax {
  static constexpr int kOwn = kRows / 4;  // query rows of a thread
  static constexpr int kScores = kRows / 2;
  using Shared = FewRowsMemory<kChunks, kRows>;

  float max[kOwn];             // of a row's scores so far, times scale
  float sum[kOwn];             // of weights relative to that: of this thread's keys
  int32_t all_begin, all_end;  // keys that all of the unit's rows see

  __device__ FewRowsSoftmax(const DecodeParams& params, const Unit& unit) {
    const int32_t group = params.outputs.group, last = unit.row_begin + unit.row_count - 1;
#pragma unroll
    for (int own = 0; own < kOwn; ++own) {
      max[own] = -INFINITY;
      sum[own] = 0;
    }
    all_begin = visible(params, unit, last / group).begin;
    all_end = visible(params, unit, unit.row_begin / group).end;
  }

  static __device__ int warp() {
    return static_cast<int>(threadIdx.x) / 32;
  }
  static __device__ int lane() {
    return static_cast<int>(threadIdx.x) % 32;
  }
  static __device__ int row_of(int own) {
    return own / 2 * 8 + lane() % 4 * 2 + own % 2;
  }
  static __device__ int score_of(int own, int key) {
    return own / 2 * 4 + key * 2 + own % 2;
  }

  /// Leaves what over_lanes() gave this lane where the other warps look for it.
  static __device__ void publish(float (&rows)[kFewRowsWarps][kRows], float value) {
    rows[warp()][row_of(lane() / (32 / kOwn))] = value;
  }
  __device__ void publish_sums(Shared& shared) const {
    publish(shared.sums, over_lanes<Sum>(sum));
  }
  /// What has been seen of each row, for any thread to read behind a barrier: maxima[0] and sums.
  __device__ void publish_result(Shared& shared) const {
    publish_sums(shared);
    if (threadIdx.x >= 4) return;
#pragma unroll
    for (int own = 0; own < kOwn; ++own) shared.maxima[0][row_of(own)] = max[own];
  }
  static __device__ float total(const Shared& shared, int row) {
    if constexpr (planted(Defect::sums_of_one_warp)) return shared.sums[0][row];
    return (shared.sums[0][row] + shared.sums[1][row]) + (shared.sums[2][row] + shared.sums[3][row]);
  }

  /// Scales and hides the scores, and tells the other warps their maxima.
  __device__ void publish_maxima(float (&scores)[kScores], const Tile& tile, const DecodeParams& params,
                                 Shared& shared) const {
#pragma unroll
    for (float& score : scores) score *= params.scale_log2;
    if (!tile.is_whole() || tile.key < all_begin || tile.key + kTileKeys > all_end) {
      hide(scores, tile, params.sinks, shared);
    }
    float maxima[kOwn];
#pragma unroll
    for (int own = 0; own < kOwn; ++own) maxima[own] = fmaxf(scores[score_of(own, 0)], scores[score_of(own, 1)]);
    publish(shared.maxima, over_lanes<Maximum>(maxima));
  }

  /// Turns scores into weights, once all warps have published; `factors` is what sums so far have to be multiplied by.
  /// kWatches, for which sums have been published too: whether some weight stands out (kShare), this tile's sum not
  /// counted, which takes one more exchange to know. All threads give the same answer.
  template <bool kWatches>
  __device__ bool step(float (&scores)[kScores], const Shared& shared, float (&factors)[kOwn]) {
    bool stands_out = false;
#pragma unroll
    for (int own = 0; own < kOwn; ++own) {
      const int row = row_of(own);
      float in_tile = shared.maxima[planted(Defect::maximum_of_own_warp) ? warp() : 0][row];
      if constexpr (!planted(Defect::maximum_of_own_warp)) {
#pragma unroll
        for (int other = 1; other < kFewRowsWarps; ++other) in_tile = fmaxf(in_tile, shared.maxima[other][row]);
      }
      const float largest = fmaxf(max[own], in_tile);
      // A row that has seen no key yet: all its weights are 2^(-inf - 0).
      const float shift = largest == -INFINITY ? 0 : largest;
      factors[own] = ptx::exp2(max[own] - shift);
      if constexpr (planted(Defect::sums_not_rescaled)) factors[own] = 1;
      max[own] = largest;
      float& first = scores[score_of(own, 0)];
      float& second = scores[score_of(own, 1)];
      first = ptx::exp2(first - shift);
      second = ptx::exp2(second - shift);
      sum[own] = sum[own] * factors[own] + (first + second);
      if constexpr (kWatches) {
        const float weight = ptx::exp2(in_tile - shift);
        stands_out |= weight > kShare * (total(shared, row) * factors[own] + weight);
      }
    }
    return kWatches && __any_sync(0xffffffff, stands_out);
  }

 private:
  static __device__ void hide(float (&scores)[kScores], const Tile& tile, int32_t sinks, const Shared& shared) {
#pragma unroll
    for (int own = 0; own < kOwn; ++own) {
      const Visible row = shared.limits[row_of(own)];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int32_t in_tile = thread_row() + 8 * i, key = tile.key + in_tile;
        const bool seen =
            in_tile >= tile.begin && in_tile < tile.end && key < row.end && (key >= row.begin || key < sinks);
        if (!seen && !(planted(Defect::tail_rows_not_masked) && in_tile >= tile.end)) {
          scores[score_of(own, i)] = -INFINITY;
        }
      }
    }
  }
};

}  // namespace flash_mla::sm90
