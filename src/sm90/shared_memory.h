// The shared memory of a decode CTA.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sm90/params.h"

namespace flash_mla::sm90 {

inline constexpr int kStages = 2;
/// A chunk: 64 rows of 64 elements, each row 128 bytes whose eight 16 bytes are permuted (128-byte swizzle).
inline constexpr int kChunkBytes = kTileKeys * kChunkColumns * 2;

struct Slot {
  uint32_t index, parity;
};
/// Where chunk c of a CTA's tile lies: the tile's number * kChunks + c, modulo the number of slots.
template <class Shared>
__device__ __forceinline__ Slot slot_of(uint32_t tile, int chunk) {
  const uint32_t number = tile * Shared::kTileChunks + chunk;
  return {number % Shared::kSlots, number / Shared::kSlots % 2};
}

template <int kChunks>
struct alignas(1024) SharedMemory {
  static constexpr uint32_t kTileChunks = kChunks, kSlots = kStages * kChunks;
  uint8_t queries[kChunks][kChunkBytes];
  uint8_t keys[kSlots][kChunkBytes];
  uint8_t weights[kChunkBytes];  // of the step's keys, rounded: [kTileRows][kTileKeys]
  float factors[kTileRows];      // by which the step rescales the sums; behind the last step 1 / sum of weights
  int32_t weights_follow;        // these were remainders: the same tile is multiplied again
  uint64_t full[kSlots];
  uint64_t empty[kSlots];
};

// Two whole stages are all that fits beside 64 queries; what refills them early is that every chunk has its own
// barriers.
static_assert(sizeof(SharedMemory<chunks(576)>) + 1024 <= decode_shared_bytes(576));
static_assert(sizeof(SharedMemory<chunks(512)>) + 1024 <= decode_shared_bytes(512));
static_assert(sizeof(SharedMemory<chunks(320)>) + 1024 <= decode_shared_bytes(320));
static_assert(decode_shared_bytes(576) <= kMaxShared);

/// Where column `column` (a multiple of 8) of row `row` lies in a chunk.
__device__ __forceinline__ uint32_t chunk_offset(uint32_t row, uint32_t column) {
  return row * 128 + ((column / 8 ^ row % 8) * 16);
}

}  // namespace flash_mla::sm90
