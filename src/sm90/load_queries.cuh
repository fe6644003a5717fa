// A unit's queries, brought to shared memory by the warps that will multiply them.
#pragma once

#include "ptx/barrier.h"
#include "sm90/load_8.cuh"
#include "sm90/shared_memory.h"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

/// Rows and columns that do not exist become zero. For kThreads threads, each of whom then has to pass a barrier before
/// any multiplies.
template <int kWidth, int kThreads, int kChunks>
__device__ void load_queries(const DecodeParams& params, const Unit& unit, SharedMemory<kChunks>& shared) {
  constexpr int kRowPieces = kChunks * kChunkColumns / 8;  // of 16 bytes
  constexpr int kAtOnce = 6;
  static_assert(kTileRows * kRowPieces % kThreads == 0);
  const uint16_t* const q = static_cast<const uint16_t*>(params.q);
  for (int base = 0; base < kTileRows * kRowPieces; base += kThreads * kAtOnce) {
    uint4 pieces[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int piece = base + i * kThreads + static_cast<int>(threadIdx.x);
      const int row = piece / kRowPieces, column = piece % kRowPieces * 8;
      pieces[i] = {0, 0, 0, 0};
      if (row < unit.row_count && column < kWidth) {
        pieces[i] = load_8(q +
                           row_offset(params.q_strides, unit.sequence, unit.first_token, unit.kv_head,
                                      params.outputs.group, unit.row_begin + row) +
                           column);
      }
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int piece = base + i * kThreads + static_cast<int>(threadIdx.x);
      const int row = piece / kRowPieces, column = piece % kRowPieces * 8;
      if (row < kTileRows) {
        *reinterpret_cast<uint4*>(shared.queries[column / kChunkColumns] + chunk_offset(row, column % kChunkColumns)) =
            pieces[i];
      }
    }
  }
  if constexpr (!planted(Defect::queries_without_proxy_fence)) ptx::async_proxy_fence();
}

}  // namespace flash_mla::sm90
