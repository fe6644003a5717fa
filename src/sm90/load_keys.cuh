// The warp that has the copy engine bring keys, as far ahead as there is room.
#pragma once

#include "ptx/copy.h"
#include "sm90/shared_memory.h"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

struct alignas(64) TensorMapBytes {
  uint8_t bytes[128];
};

/// By one thread, before any other uses the slots: `filling` and `emptying` warps arrive for each.
template <class Shared>
__device__ void initialise_slots(Shared& shared, uint32_t filling, uint32_t emptying) {
  for (uint32_t slot = 0; slot < Shared::kSlots; ++slot) {
    ptx::mbarrier_init(&shared.full[slot], filling);
    ptx::mbarrier_init(&shared.empty[slot], emptying);
  }
  ptx::mbarrier_init_fence();
}

/// The order in which chunks are wanted. One that holds no values comes first: it is the first to be free again.
template <int kChunks, int kValueChunks>
constexpr int chunk_at(int position) {
  return kChunks == kValueChunks ? position : (position + kChunks - 1) % kChunks;
}

/// A tile consists of kTileKeys / box_rows boxes a chunk, each within a page; lane i loads box i. A box that the unit
/// needs no key of is loaded from behind the last page, where all is zero: its entry of the page table may hold
/// anything.
template <int kChunks, int kValueChunks, class Shared>
__device__ void load_keys(const void* map, const DecodeParams& params, Shared& shared) {
  const uint32_t lane = threadIdx.x % 32;
  const int32_t rows = static_cast<int32_t>(box_rows(params.page_size));
  const bool loads = lane * rows < kTileKeys;
  uint32_t step = 0;
  for (int32_t u = params.part_begin[blockIdx.x]; u < params.part_begin[blockIdx.x + 1]; ++u) {
    const Unit unit = params.units[u];
    const int32_t* const table = params.page_table + unit.sequence * params.table_sequence_stride;
    const Tiles tiles(unit);
    for (int32_t i = 0; i < tiles.count(); ++i, ++step) {
      const Tile tile = tiles[i];
      const int32_t first = static_cast<int32_t>(lane) * rows, key = tile.key + first;
      int32_t page = static_cast<int32_t>(params.num_pages), row = 0;
      if (loads && first < tile.end && first + rows > tile.begin) {
        page = table[key / params.page_size * params.table_column_stride];
        row = key % params.page_size;
        if (planted(Defect::wrong_page) && i == 1) page = table[0];
      }
#pragma unroll 1
      for (int position = 0; position < kChunks; ++position) {
        const int chunk = chunk_at<kChunks, kValueChunks>(position);
        const auto [slot, parity] = slot_of<Shared>(step, chunk);
        // In the first round slots are free, and the first keys are what everything waits for.
        const bool is_free = step * kChunks + chunk < Shared::kSlots && !planted(Defect::wrong_parity);
        if (!is_free) ptx::mbarrier_wait(&shared.empty[slot], parity ^ (planted(Defect::wrong_parity) ? 0 : 1));
        uint64_t* const full = &shared.full[slot];
        if (lane == 0) ptx::mbarrier_arrive_expecting(full, planted(Defect::expects_too_little) ? 4096 : kChunkBytes);
        __syncwarp();
        if (loads) {
          ptx::load_box(shared.keys[slot] + first * 128, map, full, chunk * kChunkColumns, row, unit.kv_head, page);
        }
      }
    }
  }
}

}  // namespace flash_mla::sm90
