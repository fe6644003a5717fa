// What brings keys where the copy engine cannot: pages that boxes do not fit, addresses and strides that tensor maps do
// not take. Four warps copy row by row.
#pragma once

#include "ptx/barrier.h"
#include "ptx/copy.h"
#include "sm90/load_8.cuh"
#include "sm90/load_keys.cuh"
#include "sm90/shared_memory.h"
#include "sm90/tile.cuh"

namespace flash_mla::sm90 {

inline constexpr int kGatheringWarps = 4;

/// Each warp has 16 rows of every tile, each lane 16 bytes of four of them. A chunk is a group of copies; groups under
/// way are announced in order, an arrival a warp, when there are kAhead of them or nothing else can be done.
template <int kWidth, int kChunks, int kValueChunks, class Shared>
class KeyGatherer {
 public:
  __device__ KeyGatherer(const DecodeParams& params, Shared& shared) : params_(params), shared_(shared) {}

  __device__ void run() {
    for (int32_t u = params_.part_begin[blockIdx.x]; u < params_.part_begin[blockIdx.x + 1]; ++u) {
      const Unit& unit = params_.units[u];
      const Tiles tiles(unit);
      for (int32_t i = 0; i < tiles.count(); ++i) gather_tile(unit, tiles[i]);
    }
    announce<0>();
  }

 private:
  static constexpr int kAhead = 6;  // 48 KiB
  static constexpr int kRows = kTileKeys / kGatheringWarps / 4;

  static __device__ uint32_t lane() { return threadIdx.x % 32; }
  static __device__ uint32_t row_of(int i) { return threadIdx.x % 128 / 32 * 16 + i * 4 + lane() / 8; }
  static __device__ int chunk_of(uint32_t count) { return chunk_at<kChunks, kValueChunks>(count % kChunks); }
  static __device__ Slot slot_of_chunk(uint32_t count) { return slot_of<Shared>(count / kChunks, chunk_of(count)); }

  /// Null: not the unit's, or a page that is not there. Zeros are read then.
  __device__ const char* row_address(const Unit& unit, const Tile& tile, int row) const {
    if (row < tile.begin || row >= tile.end) return nullptr;
    const int32_t key = tile.key + row;
    const int32_t page = params_.page_table[unit.sequence * params_.table_sequence_stride +
                                            key / params_.page_size * params_.table_column_stride];
    if (page < 0 || page >= params_.num_pages) return nullptr;
    return static_cast<const char*>(params_.k) + page * params_.k_strides.page +
           key % params_.page_size * params_.k_strides.token + unit.kv_head * params_.k_strides.head;
  }

  __device__ void gather_tile(const Unit& unit, const Tile& tile) {
    const char* rows[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) rows[i] = row_address(unit, tile, static_cast<int>(row_of(i)));
#pragma unroll 1
    for (int position = 0; position < kChunks; ++position) {
      wait_for_room();
      copy_chunk(rows);
      ptx::commit_copies();
      ++begun_;
      if (begun_ - announced_ == kAhead) announce<kAhead - 1>();
    }
  }

  __device__ void copy_chunk(const char* const (&rows)[kRows]) const {
    const int chunk = chunk_of(begun_), column = chunk * kChunkColumns + static_cast<int>(lane() % 8) * 8;
    uint8_t* const to = shared_.keys[slot_of_chunk(begun_).index];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const bool present = rows[i] != nullptr && column < kWidth;
      const char* const from = present ? rows[i] + column * 2 : static_cast<const char*>(params_.k);
      uint8_t* const piece = to + chunk_offset(row_of(i), lane() % 8 * 8);
      if (params_.k_is_aligned != 0) {
        ptx::copy_16(piece, from, present);
      } else {
        uint4 eight = {0, 0, 0, 0};
        if (present) eight = load_8(reinterpret_cast<const uint16_t*>(from));
        *reinterpret_cast<uint4*>(piece) = eight;
      }
    }
  }

  /// The chunk's last reader may itself wait for a chunk that is under way: announce those first.
  __device__ void wait_for_room() {
    const Slot slot = slot_of_chunk(begun_);
    if (ptx::mbarrier_is_complete(&shared_.empty[slot.index], slot.parity ^ 1)) return;
    announce<0>();
    ptx::mbarrier_wait(&shared_.empty[slot.index], slot.parity ^ 1);
  }

  /// All but the last kLeft groups. Copies are ordinary writes: what wgmma is to read needs a fence.
  template <int kLeft>
  __device__ void announce() {
    if constexpr (!planted(Defect::gathered_without_wait)) ptx::wait_for_copies<kLeft>();
    if constexpr (!planted(Defect::gathered_without_proxy_fence)) ptx::async_proxy_fence();
    __syncwarp();
    for (; announced_ + kLeft < begun_; ++announced_) {
      if (lane() == 0) ptx::mbarrier_arrive(&shared_.full[slot_of_chunk(announced_).index]);
    }
  }

  const DecodeParams& params_;
  Shared& shared_;
  uint32_t begun_ = 0, announced_ = 0;  // chunks since the kernel began
};

}  // namespace flash_mla::sm90
