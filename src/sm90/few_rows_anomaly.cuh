// NaN and infinities in live keys, where keys run along the rows of the scores (live_anomaly.cuh says why).
#pragma once

#include "sm90/few_rows_softmax.cuh"
#include "sm90/live_anomaly.cuh"

namespace flash_mla::sm90 {

/// A tile whose keys some rows do not see: where there are NaN or infinities, makes that column NaN in the rows that
/// see the key and puts zeros in their place. chunk_at(c): the tile's chunk c. The warpgroup's threads have to pass a
/// barrier and a proxy fence before it multiplies.
template <Element kElement, int kValueChunks, int kRows, class Shared, class ChunkAt>
__device__ void set_anomalies_of_few_rows_apart(const DecodeParams& params, const Tile& tile, const Shared& shared,
                                                ChunkAt chunk_at, float (&sums)[kValueChunks][kRows / 2],
                                                uint32_t barrier) {
  using Softmax = FewRowsSoftmax<static_cast<int>(sizeof(shared.queries) / sizeof(shared.queries[0])), kRows>;
  constexpr int kThreads = 32 * kFewRowsWarps, kWords = kChunkBytes / 4;
  bool found = false;
  for (int chunk = 0; chunk < kValueChunks; ++chunk) {
    const uint32_t* const words = reinterpret_cast<const uint32_t*>(chunk_at(chunk));
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.x); i < kWords; i += kThreads) {
      found |= !is_finite<kElement>(words[i]) || !is_finite<kElement>(words[i] >> 16);
    }
  }
  if (!ptx::named_barrier_any(barrier, kThreads, found)) return;

  for (int key = tile.begin; key < tile.end; ++key) {
#pragma unroll
    for (int i = 0; i < 2 * kValueChunks; ++i) {
      const int column = thread_row() + i % 2 * 8;
      const uint8_t* const at = chunk_at(i / 2) + chunk_offset(key, column / 8 * 8) + column % 8 * 2;
      if (is_finite<kElement>(*reinterpret_cast<const uint16_t*>(at))) continue;
#pragma unroll
      for (int own = 0; own < Softmax::kOwn; ++own) {
        const Visible row = shared.limits[Softmax::row_of(own)];
        const int32_t number = tile.key + key;
        if (number < row.end && (number >= row.begin || number < params.sinks)) {
          sums[i / 2][Softmax::score_of(own, i % 2)] = NAN;
        }
      }
    }
  }
  ptx::named_barrier_sync(barrier, kThreads);
  for (int chunk = 0; chunk < kValueChunks; ++chunk) {
    uint32_t* const words = reinterpret_cast<uint32_t*>(chunk_at(chunk));
    for (int i = static_cast<int>(threadIdx.x); i < kWords; i += kThreads) {
      const uint32_t word = words[i];
      words[i] =
          (is_finite<kElement>(word) ? word & 0xffff : 0) | (is_finite<kElement>(word >> 16) ? word & 0xffff0000 : 0);
    }
  }
}

}  // namespace flash_mla::sm90
