// Decode: softmax(scale q k^T) v for tiles of 64 query rows, split over keys (Flash-Decoding, Dao et al., 2023). How
// the warps work together: docs/hopper.md.
#pragma once

#include "ptx/barrier.h"
#include "ptx/copy.h"
#include "ptx/dependent_launch.h"
#include "ptx/registers.h"
#include "ptx/wgmma.h"
#include "sm90/gather_keys.cuh"
#include "sm90/live_anomaly.cuh"
#include "sm90/load_keys.cuh"
#include "sm90/load_queries.cuh"
#include "sm90/output.cuh"
#include "sm90/shared_memory.h"
#include "sm90/softmax.cuh"

namespace flash_mla::sm90 {

enum NamedBarrier : uint32_t {
  kQueriesLoaded = 1,
  kWeightsReady,
  kWeightsTaken,
  kScoresDone,
  kScoringGroup,
  kValueGroup
};

inline constexpr int kGroupThreads = 128;
inline constexpr int kMultiplyingThreads = 2 * kGroupThreads;
inline constexpr int kWarpsPerGroup = 4;

/// Both warpgroups that multiply have half of the columns of out, 128 registers a thread if there are 512. The first
/// also computes the scores and weights, and leaves the weights in shared memory for the second.
template <Element kElement, int kWidth, int kValueWidth>
struct Decode {
  static constexpr int kChunks = static_cast<int>(chunks(kWidth)), kValueChunks = kValueWidth / kChunkColumns;
  static constexpr int kOwnChunks = kValueChunks / 2;  // of each group
  static constexpr int kSums = kOwnChunks * kChunkColumns / 2;
  static constexpr bool kRounds = kElement == Element::bfloat16;  // weights, so that it may show (softmax.cuh)
  using Shared = SharedMemory<kChunks>;

  const DecodeParams& params;
  Shared& shared;
  uint32_t step = 0;  // tiles since the kernel began

  __device__ uint32_t slot(int chunk) const { return step % kStages * kChunks + chunk; }
  static __device__ bool is_first_lane() { return threadIdx.x % 32 == 0; }

  __device__ void wait_until_full(int chunk) const {
    ptx::mbarrier_wait(&shared.full[slot(chunk)], step / kStages % 2);
  }
  __device__ void release(int first, int count) const {
    if (!is_first_lane()) return;
    for (int chunk = first; chunk < first + count; ++chunk) ptx::mbarrier_arrive(&shared.empty[slot(chunk)]);
  }

  __device__ void start_scores(float (&scores)[32]) const {
    const uint64_t queries = ptx::matrix_descriptor(ptx::shared_address(shared.queries), 16);
    const uint64_t keys = ptx::matrix_descriptor(ptx::shared_address(shared.keys[slot(0)]), 16);
#pragma unroll
    for (int position = 0; position < kChunks; ++position) {
      const int chunk = chunk_at<kChunks, kValueChunks>(position);
      wait_until_full(chunk);
      // For every chunk: ptxas sees the loop in which the wait spins, and would insert one.
      if constexpr (!planted(Defect::scores_without_wgmma_fence)) ptx::wgmma_fence();
#pragma unroll
      for (int k = 0; k < kChunkColumns; k += 16) {
        if (chunk * kChunkColumns + k >= kWidth) continue;
        const uint32_t offset = chunk * kChunkBytes + k * 2;
        ptx::wgmma_scores<kElement>(scores, ptx::advanced(queries, offset), ptx::advanced(keys, offset),
                                    position > 0 || k > 0);
      }
    }
    ptx::wgmma_commit();
  }

  /// Weights of keys that are not the unit's are zero, but what lies there may be NaN.
  __device__ void clear_dead_rows(const Tile& tile, int first_chunk, uint32_t barrier) const {
    if (tile.is_whole() || planted(Defect::dead_rows_kept)) return;
    const int dead = kTileKeys - (tile.end - tile.begin);
    for (int i = static_cast<int>(threadIdx.x) % kGroupThreads; i < dead * 8 * kOwnChunks; i += kGroupThreads) {
      const int chunk = first_chunk + i / 8 % kOwnChunks, number = i / 8 / kOwnChunks;
      const int row = number < tile.begin ? number : number - tile.begin + tile.end;
      *reinterpret_cast<uint4*>(shared.keys[slot(chunk)] + row * 128 + i % 8 * 16) = {0, 0, 0, 0};
    }
    if constexpr (!planted(Defect::cleared_without_proxy_fence)) ptx::async_proxy_fence();
    ptx::named_barrier_sync(barrier, kGroupThreads);
  }

  /// Makes the group's chunks of the tile fit to be multiplied by weights of zero.
  __device__ void sanitise(const Unit& unit, const Tile& tile, int first_chunk, float (&sums)[kSums],
                           uint32_t barrier) const {
    clear_dead_rows(tile, first_chunk, barrier);
    if (!rows_differ(params, unit, tile) || planted(Defect::live_anomaly_spreads)) return;
    auto& chunks = *reinterpret_cast<uint8_t(*)[kOwnChunks][kChunkBytes]>(shared.keys[slot(first_chunk)]);
    set_anomalies_apart<kElement>(params, unit, tile, chunks, sums, barrier);
  }

  static __device__ void rescale(float (&sums)[kSums], const float (&factors)[2]) {
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] *= factors[i / 2 % 2];
  }

  /// Until the second group has taken what it got last.
  __device__ void wait_until_taken(bool& has_handed_over) const {
    if (has_handed_over) ptx::named_barrier_sync(kWeightsTaken, kMultiplyingThreads);
    has_handed_over = true;
  }
  __device__ void hand_over(const float (&factors)[2], bool weights_follow) const {
    if (threadIdx.x % 4 == 0) {
      shared.factors[thread_row()] = factors[0];
      shared.factors[thread_row() + 8] = factors[1];
    }
    if (threadIdx.x == 0) shared.weights_follow = weights_follow ? 1 : 0;
    ptx::named_barrier_arrive(kWeightsReady, kMultiplyingThreads);
  }

  /// Weights, or what rounding takes from them, as wgmma takes them from registers.
  static __device__ void pack(const float (&scores)[32], bool remainders, uint32_t (&weights)[4][4]) {
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const float first = scores[2 * i], second = scores[2 * i + 1];
      uint32_t pair = ptx::packed<kElement>(first, second);
      if (kRounds && remainders) {
        pair = ptx::packed<kElement>(first - __uint_as_float(pair << 16), second - __uint_as_float(pair & 0xffff0000));
      }
      weights[i / 4][i % 4] = pair;
    }
  }

  /// The 16 bytes of shared memory whose address this lane gives for 16 keys' weights of the warp's 16 rows.
  __device__ void* weights_at(int k) const {
    const uint32_t lane = threadIdx.x % 32, row = threadIdx.x % kGroupThreads / 32 * 16 + lane % 16;
    return shared.weights + chunk_offset(row, k * 16 + lane / 16 * 8);
  }

  /// Starts sums += weights * values of the group's columns.
  __device__ void start_values(float (&sums)[kSums], uint32_t (&weights)[4][4], int first_chunk) const {
    const uint64_t values = ptx::matrix_descriptor(ptx::shared_address(shared.keys[slot(first_chunk)]), kChunkBytes);
    ptx::wgmma_pin(sums);
    ptx::wgmma_pin(weights);
    ptx::wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) ptx::wgmma_values<kElement>(sums, weights[k], ptx::advanced(values, k * 16 * 128));
    ptx::wgmma_commit();
  }
  static __device__ void finish_values(float (&sums)[kSums]) {
    ptx::wgmma_wait<0>();
    ptx::wgmma_pin(sums);
  }

  __device__ void score_tile(const Unit& unit, const Tile& tile, bool is_first, bool is_last, Softmax& softmax,
                             float (&sums)[kSums], bool& has_handed_over) const {
    float scores[32];
    start_scores(scores);
    ptx::wgmma_wait<0>();
    ptx::wgmma_pin(scores);
    release(kValueChunks, kChunks - kValueChunks);
    if (!is_first) ptx::named_barrier_arrive(kScoresDone, kMultiplyingThreads);
    float factors[2];
    const bool stands_out = softmax.step(scores, tile, params, factors);
    const bool refines = kRounds && !planted(Defect::remainders_forgotten) &&
                         ptx::named_barrier_any(kScoringGroup, kGroupThreads, stands_out);
    sanitise(unit, tile, 0, sums, kScoringGroup);
    for (bool remainders = refines;; remainders = false) {
      uint32_t weights[4][4];
      pack(scores, remainders, weights);
      if constexpr (!planted(Defect::weights_overwritten_early)) wait_until_taken(has_handed_over);
#pragma unroll
      for (int k = 0; k < 4; ++k) ptx::store_matrices(weights_at(k), weights[k]);
      if constexpr (planted(Defect::weights_overwritten_early)) wait_until_taken(has_handed_over);
      hand_over(factors, remainders);
      if (!remainders && is_last) ptx::named_barrier_arrive(kScoresDone, kMultiplyingThreads);
      rescale(sums, factors);
      start_values(sums, weights, 0);
      finish_values(sums);
      if (!remainders) break;
      factors[0] = factors[1] = 1;
    }
    release(0, kOwnChunks);
  }

  __device__ void score_unit(const Unit& unit, bool& has_handed_over) {
    const Tiles tiles(unit);
    Softmax softmax(params, unit);
    float sums[kSums];
#pragma unroll
    for (float& sum : sums) sum = 0;
    const int32_t count = tiles.count();
    for (int32_t i = 0; i < count; ++i, ++step) {
      score_tile(unit, tiles[i], i == 0, i == count - 1, softmax, sums, has_handed_over);
    }
    float factors[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float sum = softmax.sum[i];
      factors[i] = sum == 0 ? 0 : 1 / sum;
      if (threadIdx.x % 4 == 0) {
        store_lse(thread_row() + 8 * i, (softmax.max[i] + ptx::log2(sum)) * kLn2, params, unit);
      }
    }
    wait_until_taken(has_handed_over);
    hand_over(factors, false);
    store_rows<kElement, kValueWidth>(sums, factors, 0, params, unit);
  }

  /// What the first group has left: factors and, but for the last, weights. Returns whether these are remainders, whose
  /// weights come next.
  __device__ bool receive(float (&factors)[2], uint32_t (&weights)[4][4], bool has_weights) const {
    if constexpr (!planted(Defect::weights_without_barrier)) {
      ptx::named_barrier_sync(kWeightsReady, kMultiplyingThreads);
    }
    factors[0] = shared.factors[thread_row()];
    factors[1] = shared.factors[thread_row() + 8];
    const bool remainders = kRounds && shared.weights_follow != 0;
    if (has_weights) {
#pragma unroll
      for (int k = 0; k < 4; ++k) ptx::load_matrices(weights_at(k), weights[k]);
    }
    ptx::named_barrier_arrive(kWeightsTaken, kMultiplyingThreads);
    return remainders;
  }

  __device__ void value_tile(const Unit& unit, const Tile& tile, float (&sums)[kSums]) const {
    for (bool remainders = true; remainders;) {
      float factors[2];
      uint32_t weights[4][4];
      remainders = receive(factors, weights, true);
      rescale(sums, factors);
#pragma unroll
      for (int chunk = kOwnChunks; chunk < kValueChunks; ++chunk) wait_until_full(chunk);
      sanitise(unit, tile, kOwnChunks, sums, kValueGroup);
      if (!remainders) ptx::named_barrier_sync(kScoresDone, kMultiplyingThreads);
      start_values(sums, weights, kOwnChunks);
      if (planted(Defect::released_before_read) && !remainders) release(kOwnChunks, kOwnChunks);
      finish_values(sums);
    }
    if constexpr (!planted(Defect::released_before_read)) release(kOwnChunks, kOwnChunks);
  }

  __device__ void value_unit(const Unit& unit) {
    const Tiles tiles(unit);
    float sums[kSums], factors[2];
#pragma unroll
    for (float& sum : sums) sum = 0;
    for (int32_t i = 0; i < tiles.count(); ++i, ++step) value_tile(unit, tiles[i], sums);
    uint32_t none[4][4];
    receive(factors, none, false);
    store_rows<kElement, kValueWidth>(sums, factors, kOwnChunks * kChunkColumns, params, unit);
  }

  __device__ void multiply() {
    const bool scores = threadIdx.x < kGroupThreads;
    bool has_handed_over = false;
    for (int32_t u = params.part_begin[blockIdx.x]; u < params.part_begin[blockIdx.x + 1]; ++u) {
      const Unit& unit = params.units[u];  // read again where it is used: registers are dear
      load_queries<kWidth, kMultiplyingThreads / 32, kTileRows>(params, unit, shared.queries);
      if constexpr (!planted(Defect::queries_without_barrier)) {
        ptx::named_barrier_sync(kQueriesLoaded, kMultiplyingThreads);
      }
      if (scores) {
        score_unit(unit, has_handed_over);
      } else {
        value_unit(unit);
      }
    }
    // Not sooner: its CTAs would crowd on the few SMs that have room already.
    ptx::let_next_grid_start();
    if (scores && has_handed_over) ptx::named_barrier_sync(kWeightsTaken, kMultiplyingThreads);
  }

  /// By one thread.
  __device__ void initialise(const void* map) const {
    const bool gathers = params.gathers != 0;
    if (!gathers) ptx::prefetch_tensor_map(map);
    initialise_slots(shared, gathers ? kGatheringWarps : 1, kWarpsPerGroup);
  }
};

template <Element kElement, int kWidth, int kValueWidth>
__device__ __forceinline__ void decode(const TensorMapBytes& map, const DecodeParams& params) {
  extern __shared__ __align__(1024) uint8_t memory[];
  using Kernel = Decode<kElement, kWidth, kValueWidth>;
  Kernel kernel{params, *reinterpret_cast<typename Kernel::Shared*>(memory)};
  if (threadIdx.x == 0) kernel.initialise(&map);
  __syncthreads();
  // 128 * (40 + 2 * 232) = 64,512 of 65,536 registers.
  if (threadIdx.x >= kMultiplyingThreads) {
    ptx::give_up_registers<40>();
    if (params.gathers != 0) {
      KeyGatherer<kWidth, Kernel::kChunks, Kernel::kValueChunks, typename Kernel::Shared>(params, kernel.shared).run();
    } else if (threadIdx.x < kMultiplyingThreads + 32) {
      load_keys<Kernel::kChunks, Kernel::kValueChunks>(&map, params, kernel.shared);
    }
  } else {
    ptx::take_registers<232>();
    kernel.multiply();
  }
}

}  // namespace flash_mla::sm90
