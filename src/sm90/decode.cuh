// Decode: softmax(scale q k^T) v for tiles of 64 query rows, split over keys (Flash-Decoding, Dao et al., 2023). How
// the warps work together: docs/hopper.md.
#pragma once

#include "ptx/barrier.h"
#include "ptx/copy.h"
#include "ptx/registers.h"
#include "ptx/wgmma.h"
#include "sm90/load_keys.cuh"
#include "sm90/load_queries.cuh"
#include "sm90/output.cuh"
#include "sm90/shared_memory.h"
#include "sm90/softmax.cuh"

namespace flash_mla::sm90 {

enum NamedBarrier : uint32_t { kQueriesLoaded = 1, kWeightsReady, kWeightsTaken, kScoringGroup, kValueGroup };

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

  __device__ uint32_t stage() const { return step % kStages; }
  static __device__ bool is_first_lane() { return threadIdx.x % 32 == 0; }

  __device__ void release(uint32_t at, int first, int count) const {
    if (!is_first_lane()) return;
    for (int chunk = first; chunk < first + count; ++chunk) ptx::mbarrier_arrive(&shared.empty[at % kStages][chunk]);
  }

  /// Starts the scores of tile number `at`.
  __device__ void start_scores(float (&scores)[32], uint32_t at) const {
    const uint64_t queries = ptx::matrix_descriptor(ptx::shared_address(shared.queries), 16);
    const uint64_t keys = ptx::matrix_descriptor(ptx::shared_address(shared.keys[at % kStages]), 16);
#pragma unroll
    for (int position = 0; position < kChunks; ++position) {
      const int chunk = chunk_at<kChunks, kValueChunks>(position);
      ptx::mbarrier_wait(&shared.full[at % kStages][chunk], at / kStages % 2);
      ptx::wgmma_fence();  // ptxas sees the wait's loop and would insert one
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
      *reinterpret_cast<uint4*>(shared.keys[stage()][chunk] + row * 128 + i % 8 * 16) = {0, 0, 0, 0};
    }
    ptx::async_proxy_fence();
    ptx::named_barrier_sync(barrier, kGroupThreads);
  }

  static __device__ void rescale(float (&sums)[kSums], const float (&factors)[2]) {
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] *= factors[i / 2 % 2];
  }

  __device__ uint64_t values(int first_chunk) const {
    return ptx::matrix_descriptor(ptx::shared_address(shared.keys[stage()][first_chunk]), kChunkBytes);
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
    if constexpr (!planted(Defect::weights_without_proxy_fence)) ptx::async_proxy_fence();
    ptx::named_barrier_arrive(kWeightsReady, kMultiplyingThreads);
  }

  __device__ void store_weights(const uint32_t (&weights)[4][4]) const {
    const uint32_t lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane % 16;
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
      ptx::store_matrices(shared.weights + chunk_offset(row, k * 16 + lane / 16 * 8), weights[k]);
    }
  }

  /// One tile of the first group, whose scores are there; `kHasNext`: starts those of the next meanwhile.
  template <bool kHasNext>
  __device__ void score_step(const Tile& tile, Softmax& softmax, float (&scores)[32], float (&next)[32],
                             float (&sums)[kSums], bool& has_handed_over) {
    if constexpr (kHasNext) start_scores(next, step + 1);
    float factors[2];
    const bool stands_out = softmax.step(scores, tile, params, factors);
    const bool refines = kRounds && ptx::named_barrier_any(kScoringGroup, kGroupThreads, stands_out);
    if (refines) add_remainders(tile, scores, factors, sums, has_handed_over);
    uint32_t weights[4][4];
#pragma unroll
    for (int i = 0; i < 16; ++i) weights[i / 4][i % 4] = ptx::packed<kElement>(scores[2 * i], scores[2 * i + 1]);
    if constexpr (!planted(Defect::weights_overwritten_early)) wait_until_taken(has_handed_over);
    store_weights(weights);
    if constexpr (planted(Defect::weights_overwritten_early)) wait_until_taken(has_handed_over);
    hand_over(factors, false);
    rescale(sums, factors);
    clear_dead_rows(tile, 0, kScoringGroup);
    const uint64_t v = values(0);
    ptx::wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) ptx::wgmma_values<kElement>(sums, weights[k], ptx::advanced(v, k * 16 * 128));
    ptx::wgmma_commit();
    if constexpr (kHasNext) {
      ptx::wgmma_wait<1>();
      ptx::wgmma_pin(next);
      release(step + 1, kValueChunks, kChunks - kValueChunks);
    }
    ptx::wgmma_wait<0>();
    ptx::wgmma_pin(sums);
    release(step, 0, kOwnChunks);
    ++step;
  }

  /// Before the weights of a tile, what rounding will take from them. From shared memory: registers are dear.
  __device__ void add_remainders(const Tile& tile, const float (&scores)[32], float (&factors)[2], float (&sums)[kSums],
                                 bool& has_handed_over) {
    wait_until_taken(has_handed_over);
    const uint32_t lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane % 16;
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
      uint32_t rest[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) rest[i] = remainders(scores[8 * k + 2 * i], scores[8 * k + 2 * i + 1]);
      ptx::store_matrices(shared.weights + chunk_offset(row, k * 16 + lane / 16 * 8), rest);
    }
    hand_over(factors, true);
    rescale(sums, factors);
    factors[0] = factors[1] = 1;
    clear_dead_rows(tile, 0, kScoringGroup);
    ptx::named_barrier_sync(kScoringGroup, kGroupThreads);
    multiply_from_shared(sums, 0);
    ptx::wgmma_wait<0>();
    ptx::wgmma_pin(sums);
  }

  /// What rounding takes from two weights.
  static __device__ uint32_t remainders(float first, float second) {
    const uint32_t rounded = ptx::packed<kElement>(first, second);
    return ptx::packed<kElement>(first - __uint_as_float(rounded << 16),
                                 second - __uint_as_float(rounded & 0xffff0000));
  }

  /// Starts sums += weights * values with the weights that lie in shared memory.
  __device__ void multiply_from_shared(float (&sums)[kSums], int first_chunk) const {
    const uint64_t weights = ptx::matrix_descriptor(ptx::shared_address(shared.weights), 16);
    const uint64_t v = values(first_chunk);
    ptx::wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      ptx::wgmma_values<kElement>(sums, ptx::advanced(weights, k * 32), ptx::advanced(v, k * 16 * 128));
    }
    ptx::wgmma_commit();
  }

  __device__ void score_unit(const Unit& unit, bool& has_handed_over) {
    const Tiles tiles(unit);
    Softmax softmax(params, unit);
    float scores[32], sums[kSums];
#pragma unroll
    for (float& sum : sums) sum = 0;
    const int32_t count = tiles.count();
    if (count > 0) {
      start_scores(scores, step);
      ptx::wgmma_wait<0>();
      ptx::wgmma_pin(scores);
      release(step, kValueChunks, kChunks - kValueChunks);
      float next[32];
      for (int32_t i = 0; i + 1 < count; ++i) {
        score_step<true>(tiles[i], softmax, scores, next, sums, has_handed_over);
#pragma unroll
        for (int j = 0; j < 32; ++j) scores[j] = next[j];
      }
      score_step<false>(tiles[count - 1], softmax, scores, next, sums, has_handed_over);
    }
    float factors[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float sum = row_sum(softmax.sum[i]);
      factors[i] = sum == 0 ? 0 : 1 / sum;
      if (threadIdx.x % 4 == 0) {
        store_lse(thread_row() + 8 * i, (softmax.max[i] + ptx::log2(sum)) * kLn2, params, unit);
      }
    }
    wait_until_taken(has_handed_over);
    hand_over(factors, false);
    store_rows<kElement, kValueWidth>(sums, factors, 0, params, unit);
  }

  /// Factors, and but for the last also weights, that the first group has left. Returns whether the same tile's
  /// remainders come next: its weights.
  __device__ bool receive(float (&factors)[2]) const {
    if constexpr (!planted(Defect::weights_without_barrier)) {
      ptx::named_barrier_sync(kWeightsReady, kMultiplyingThreads);
    }
    factors[0] = shared.factors[thread_row()];
    factors[1] = shared.factors[thread_row() + 8];
    return kRounds && shared.weights_follow != 0;
  }

  __device__ void value_unit(const Unit& unit) {
    const Tiles tiles(unit);
    float sums[kSums], factors[2];
#pragma unroll
    for (float& sum : sums) sum = 0;
    for (int32_t i = 0; i < tiles.count(); ++i, ++step) {
      for (bool remainders = true; remainders;) {
        remainders = receive(factors);
        rescale(sums, factors);
#pragma unroll
        for (int chunk = kOwnChunks; chunk < kValueChunks; ++chunk) {
          ptx::mbarrier_wait(&shared.full[stage()][chunk], step / kStages % 2);
        }
        clear_dead_rows(tiles[i], kOwnChunks, kValueGroup);
        multiply_from_shared(sums, kOwnChunks);
        if constexpr (planted(Defect::released_before_read)) release(step, kOwnChunks, kOwnChunks);
        ptx::wgmma_wait<0>();
        ptx::wgmma_pin(sums);
        ptx::named_barrier_arrive(kWeightsTaken, kMultiplyingThreads);
      }
      if constexpr (!planted(Defect::released_before_read)) release(step, kOwnChunks, kOwnChunks);
    }
    receive(factors);
    ptx::named_barrier_arrive(kWeightsTaken, kMultiplyingThreads);
    store_rows<kElement, kValueWidth>(sums, factors, kOwnChunks * kChunkColumns, params, unit);
  }

  __device__ void multiply() {
    const bool scores = threadIdx.x < kGroupThreads;
    bool has_handed_over = false;
    for (int32_t u = params.part_begin[blockIdx.x]; u < params.part_begin[blockIdx.x + 1]; ++u) {
      const Unit& unit = params.units[u];  // read again where it is used: registers are dear
      load_queries<kWidth, kMultiplyingThreads>(params, unit, shared);
      ptx::named_barrier_sync(kQueriesLoaded, kMultiplyingThreads);
      if (scores) {
        score_unit(unit, has_handed_over);
      } else {
        value_unit(unit);
      }
    }
    if (scores && has_handed_over) ptx::named_barrier_sync(kWeightsTaken, kMultiplyingThreads);
  }

  /// By one thread.
  __device__ void initialise(const void* map) const {
    ptx::prefetch_tensor_map(map);
    for (int stage = 0; stage < kStages; ++stage) {
      for (int chunk = 0; chunk < kChunks; ++chunk) {
        ptx::mbarrier_init(&shared.full[stage][chunk], 1);
        ptx::mbarrier_init(&shared.empty[stage][chunk], kWarpsPerGroup);
      }
    }
    ptx::mbarrier_init_fence();
  }
};

struct alignas(64) TensorMapBytes {
  uint8_t bytes[128];
};

template <Element kElement, int kWidth, int kValueWidth>
__device__ __forceinline__ void decode(const TensorMapBytes& map, const DecodeParams& params) {
  extern __shared__ __align__(1024) uint8_t memory[];
  using Kernel = Decode<kElement, kWidth, kValueWidth>;
  Kernel kernel{params, *reinterpret_cast<typename Kernel::Shared*>(memory)};
  if (threadIdx.x == 0) kernel.initialise(&map);
  __syncthreads();
  // 128 * (24 + 2 * 240) = 64,512 of 65,536 registers.
  if (threadIdx.x >= kMultiplyingThreads) {
    ptx::give_up_registers<24>();
    if (threadIdx.x < kMultiplyingThreads + 32) {
      load_keys<Kernel::kChunks, Kernel::kValueChunks>(&map, params, kernel.shared);
    }
  } else {
    ptx::take_registers<240>();
    kernel.multiply();
  }
}

}  // namespace flash_mla::sm90
