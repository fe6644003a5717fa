// A unit's queries, brought to shared memory by the warps that will multiply them.
#pragma once

#include "ptx/barrier.h"
#include "sm90/load_8.cuh"
#include "sm90/shared_memory.h"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

__device__ __forceinline__ bool queries_are_aligned(const DecodeParams& params) {
  const RowStrides& strides = params.q_strides;
  return (reinterpret_cast<uint64_t>(params.q) / 2 | strides.sequence | strides.token | strides.head) % 8 == 0;
}

/// A warp takes every kWarps-th row, kAtOnce of its rows at a time, so that their latencies overlap.
template <int kWidth, int kWarps, int kRows, int kAtOnce, bool kAligned, int kChunks>
__device__ __forceinline__ void load_rows(const DecodeParams& params, const Unit& unit,
                                          uint8_t (&queries)[kChunks][kRows * kChunkColumns * 2]) {
  constexpr int kPieces = (kChunks * kChunkColumns / 8 + 31) / 32;  // of 16 bytes, of a row, a lane's
  static_assert(kRows / kWarps % kAtOnce == 0);
  const uint16_t* const q = static_cast<const uint16_t*>(params.q);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll 1
  for (int first = warp; first < kRows; first += kWarps * kAtOnce) {
    uint4 pieces[kAtOnce][kPieces];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int row = first + i * kWarps;
      const uint16_t* const from = q + row_offset(params.q_strides, unit.sequence, unit.first_token, unit.kv_head,
                                                  params.outputs.group, unit.row_begin + row);
#pragma unroll
      for (int j = 0; j < kPieces; ++j) {
        const int column = (j * 32 + lane) * 8;
        pieces[i][j] = {0, 0, 0, 0};
        if (row < unit.row_count && column < kWidth)
          pieces[i][j] = kAligned ? load_aligned_8(from + column) : load_8(from + column);
      }
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
      for (int j = 0; j < kPieces; ++j) {
        const int column = (j * 32 + lane) * 8;
        if (column >= kChunks * kChunkColumns) continue;
        *reinterpret_cast<uint4*>(queries[column / kChunkColumns] +
                                  chunk_offset(first + i * kWarps, column % kChunkColumns)) = pieces[i][j];
      }
    }
  }
}

/// To chunks of kRows rows. Rows and columns that do not exist become zero. For kWarps warps, each of whom then has to
/// pass a barrier before any multiplies.
template <int kWidth, int kWarps, int kRows, int kChunks>
__device__ __forceinline__ void load_queries(const DecodeParams& params, const Unit& unit,
                                             uint8_t (&queries)[kChunks][kRows * kChunkColumns * 2]) {
  constexpr int kAtOnce = kRows / kWarps < 4 ? kRows / kWarps : 4;
  if (queries_are_aligned(params)) {
    load_rows<kWidth, kWarps, kRows, kAtOnce, true>(params, unit, queries);
  } else {
    load_rows<kWidth, kWarps, kRows, 1, false>(params, unit, queries);
  }
  if constexpr (!planted(Defect::queries_without_proxy_fence)) ptx::async_proxy_fence();
}

}  // namespace flash_mla::sm90
