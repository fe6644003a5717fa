// The shared memory of a decode CTA for few rows.
#pragma once

#include "sm90/shared_memory.h"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

inline constexpr int kFewRowsWarps = 4;  // that multiply

template <int kChunks, int kRows>
struct alignas(1024) FewRowsMemory {
  static constexpr uint32_t kTileChunks = kChunks;
  static constexpr uint32_t kSlots = static_cast<uint32_t>(few_rows_slots(kChunks * kChunkColumns, kRows));
  uint8_t queries[kChunks][kRows * kChunkColumns * 2];
  uint8_t keys[kSlots][kChunkBytes];
  uint8_t weights[2][kRows * kTileKeys * 2];  // of the step's keys, rounded; and what rounding took from them
  float maxima[kFewRowsWarps][kRows];         // of the scores of each warp's keys of the tile
  float sums[kFewRowsWarps][kRows];           // of the weights of each warp's keys so far
  int64_t out_at[kRows];                      // element of out or of the partial results
  Visible limits[kRows];
  uint64_t full[kSlots];
  uint64_t empty[kSlots];

  static_assert(kSlots >= 2 * kChunks, "a tile is held while the next comes");
  static_assert(kRows % 8 == 0, "chunks are swizzled in groups of 8 rows");
};

template <int kChunks, int kRows>
constexpr bool fits() {
  return sizeof(FewRowsMemory<kChunks, kRows>) + 1024 <= kMaxShared;
}
static_assert(fits<9, 8>() && fits<9, 16>() && fits<9, 32>());
static_assert(fits<8, 8>() && fits<8, 16>() && fits<8, 32>());
static_assert(fits<5, 8>() && fits<5, 16>() && fits<5, 32>());

}  // namespace flash_mla::sm90
