// NaN and infinities in live keys: rows whose masks hide a key must not notice, though a weight of zero times NaN is
// NaN.
#pragma once

#include "ptx/barrier.h"
#include "sm90/shared_memory.h"
#include "sm90/softmax.cuh"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

template <Element kElement>
__device__ __forceinline__ bool is_finite(uint32_t bits) {
  constexpr uint32_t kExponent = kElement == Element::bfloat16 ? 0x7f80 : 0x7c00;
  return (bits & kExponent) != kExponent;
}
/// Whether some rows of the unit see only a part of the tile's keys.
__device__ __forceinline__ bool rows_differ(const DecodeParams& params, const Unit& unit, const Tile& tile) {
  const int32_t group = params.outputs.group, last = unit.row_begin + unit.row_count - 1;
  return tile.key + tile.begin < visible(params, unit, last / group).begin ||
         tile.key + tile.end > visible(params, unit, unit.row_begin / group).end;
}

/// A group's chunks of such a tile: where there are NaN or infinities, makes that column NaN in the rows that see the
/// key (whose score is no number either, or whose weight is zero: V is part of K) and puts zeros in their place. Seldom
/// more than a look: two tiles of a unit have rows that differ, and only if it has several tokens.
template <Element kElement, int kOwnChunks, int kSums>
__device__ void set_anomalies_apart(const DecodeParams& params, const Unit& unit, const Tile& tile,
                                    uint8_t (&chunks)[kOwnChunks][kChunkBytes], float (&sums)[kSums],
                                    uint32_t barrier) {
  constexpr int kThreads = 128;
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  uint32_t* const words = reinterpret_cast<uint32_t*>(chunks);
  constexpr int kWords = kOwnChunks * kChunkBytes / 4;
  bool found = false;
#pragma unroll 4
  for (int i = thread; i < kWords; i += kThreads) {
    found |= !is_finite<kElement>(words[i]) || !is_finite<kElement>(words[i] >> 16);
  }
  if (!ptx::named_barrier_any(barrier, kThreads, found)) return;

  Visible limits[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = min(unit.row_count - 1, thread_row() + 8 * i);
    limits[i] = visible(params, unit, (unit.row_begin + row) / params.outputs.group);
  }
  for (int row = tile.begin; row < tile.end; ++row) {
    const int32_t key = tile.key + row;
#pragma unroll
    for (int j = 0; j < kSums / 4; ++j) {
      const uint32_t offset = chunk_offset(row, j % 8 * 8) + thread % 4 * 4;
      const uint32_t pair = *reinterpret_cast<const uint32_t*>(chunks[j / 8] + offset);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const bool seen = key < limits[i].end && (key >= limits[i].begin || key < params.sinks);
        if (seen && !is_finite<kElement>(pair)) sums[4 * j + 2 * i] = NAN;
        if (seen && !is_finite<kElement>(pair >> 16)) sums[4 * j + 2 * i + 1] = NAN;
      }
    }
  }
  ptx::named_barrier_sync(barrier, kThreads);
  for (int i = thread; i < kWords; i += kThreads) {
    const uint32_t word = words[i];
    words[i] =
        (is_finite<kElement>(word) ? word & 0xffff : 0) | (is_finite<kElement>(word >> 16) ? word & 0xffff0000 : 0);
  }
  ptx::async_proxy_fence();
  ptx::named_barrier_sync(barrier, kThreads);
}

}  // namespace flash_mla::sm90
