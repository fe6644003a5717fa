// Decode of few query rows (tensor parallelism leaves a GPU 8 to 32 of them): keys are the rows of the products, and
// query rows, padded to 8, 16 or 32, their columns: scores^T = k q^T, out^T = v^T weights^T. Schedule: docs/hopper.md.
#pragma once

#include "ptx/barrier.h"
#include "ptx/copy.h"
#include "ptx/dependent_launch.h"
#include "ptx/wgmma.h"
#include "ptx/wgmma_narrow.h"
#include "sm90/few_rows_anomaly.cuh"
#include "sm90/few_rows_memory.h"
#include "sm90/few_rows_output.cuh"
#include "sm90/few_rows_softmax.cuh"
#include "sm90/gather_keys.cuh"
#include "sm90/load_keys.cuh"
#include "sm90/load_queries.cuh"

namespace flash_mla::sm90 {

/// One warpgroup does it all: threads hold kRows / 4 query rows of 2 keys' scores, and the same rows of out.
template <Element kElement, int kWidth, int kValueWidth, int kRows>
struct DecodeFewRows {
  static constexpr int kChunks = static_cast<int>(chunks(kWidth)), kValueChunks = kValueWidth / kChunkColumns;
  static constexpr int kThreads = 32 * kFewRowsWarps;
  static constexpr bool kRounds = kElement == Element::bfloat16;  // weights, so that it may show (softmax.cuh)
  static constexpr uint32_t kGroup = 1;                           // the barrier
  using Shared = FewRowsMemory<kChunks, kRows>;
  using Softmax = FewRowsSoftmax<kChunks, kRows>;
  using Scores = float[kRows / 2];
  using Sums = float[kValueChunks][kRows / 2];  // [chunk of out's columns]
  using Factors = float[Softmax::kOwn];

  const DecodeParams& params;
  Shared& shared;
  uint32_t first_slot = 0, parity = 0;  // of the tile's first chunk

  static __device__ void wait_for_group() { ptx::named_barrier_sync(kGroup, kThreads); }

  __device__ bool wraps(int chunk) const { return first_slot + chunk >= Shared::kSlots; }
  __device__ uint32_t slot(int chunk) const { return first_slot + chunk - (wraps(chunk) ? Shared::kSlots : 0); }
  __device__ uint8_t* keys(int chunk) const { return shared.keys[slot(chunk)]; }
  __device__ void next_tile() {
    if (wraps(kChunks) && !planted(Defect::slot_parity_forgotten)) parity ^= 1;
    first_slot = slot(kChunks);
  }
  __device__ void wait_until_full(int chunk) const {
    ptx::mbarrier_wait(&shared.full[slot(chunk)], parity ^ (wraps(chunk) ? 1 : 0));
  }
  /// Chunks first to end: a lane each.
  __device__ void release(int first, int end) const {
    const int chunk = first + Softmax::lane();
    if (chunk < end) ptx::mbarrier_arrive(&shared.empty[slot(chunk)]);
  }

  __device__ void start_scores(Scores& scores) const {
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      wait_until_full(chunk);
      const uint64_t keys_of_chunk = ptx::matrix_descriptor(ptx::shared_address(keys(chunk)), 16);
      const uint64_t queries = ptx::matrix_descriptor(ptx::shared_address(shared.queries[chunk]), 16);
      if constexpr (!planted(Defect::scores_without_wgmma_fence)) ptx::wgmma_fence();
#pragma unroll
      for (int k = 0; k < kChunkColumns; k += 16) {
        if (chunk * kChunkColumns + k >= kWidth) continue;
        ptx::wgmma_narrow<kElement, false>(scores, ptx::advanced(keys_of_chunk, k * 2), ptx::advanced(queries, k * 2),
                                           chunk > 0 || k > 0);
      }
    }
    ptx::wgmma_commit();
  }

  /// Makes the tile fit to be multiplied by weights of zero: what does not belong to the unit may be NaN.
  __device__ void sanitise(const Unit& unit, const Tile& tile, Sums& sums) const {
    if (!tile.is_whole() && !planted(Defect::dead_rows_kept)) {
      const int dead = kTileKeys - (tile.end - tile.begin);
      for (int i = static_cast<int>(threadIdx.x); i < dead * 8 * kValueChunks; i += kThreads) {
        const int chunk = i / 8 % kValueChunks, number = i / 8 / kValueChunks;
        const int row = number < tile.begin ? number : number - tile.begin + tile.end;
        *reinterpret_cast<uint4*>(keys(chunk) + row * 128 + i % 8 * 16) = {0, 0, 0, 0};
      }
    }
    if (!rows_differ(params, unit, tile) || planted(Defect::live_anomaly_spreads)) return;
    wait_for_group();
    set_anomalies_of_few_rows_apart<kElement, kValueChunks, kRows>(
        params, tile, shared, [this](int chunk) { return keys(chunk); }, sums, kGroup);
  }

  /// The warp's 16 keys of each row, rounded; and what that took from them.
  __device__ void store_weights(const Scores& scores, bool with_remainders) const {
    constexpr int kAtOnce = kRows == 8 ? 2 : 4;  // matrices of 8 keys x 8 rows
    const int key = Softmax::warp() * 16 + Softmax::lane() / 8 % 2 * 8;
#pragma unroll
    for (int i = 0; i < kRows / 4; i += kAtOnce) {
      uint32_t rounded[kAtOnce], remainders[kAtOnce];
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        const float first = scores[2 * (i + j)], second = scores[2 * (i + j) + 1];
        rounded[j] = ptx::packed<kElement>(first, second);
        remainders[j] = ptx::packed<kElement>(first - __uint_as_float(rounded[j] << 16),
                                              second - __uint_as_float(rounded[j] & 0xffff0000));
      }
      const int row = i / 2 * 8 + Softmax::lane() / 16 % (kAtOnce / 2) * 8 + Softmax::lane() % 8;
      ptx::store_transposed(shared.weights[0] + chunk_offset(row, key), rounded);
      if (kRounds && with_remainders) ptx::store_transposed(shared.weights[1] + chunk_offset(row, key), remainders);
    }
  }

  static __device__ void rescale(Sums& sums, const Factors& factors) {
    bool changes = false;
#pragma unroll
    for (const float factor : factors) changes |= factor != 1;
    if (!__any_sync(0xffffffff, changes)) return;
#pragma unroll
    for (auto& chunk : sums) {
#pragma unroll
      for (int own = 0; own < Softmax::kOwn; ++own) {
#pragma unroll
        for (int i = 0; i < 2; ++i) chunk[Softmax::score_of(own, i)] *= factors[own];
      }
    }
  }

  /// sums += values^T weights^T.
  __device__ void add_values(Sums& sums, int which_weights) const {
    const uint64_t weights = ptx::matrix_descriptor(ptx::shared_address(shared.weights[which_weights]), 16);
    ptx::wgmma_pin(sums);
    ptx::wgmma_fence();
#pragma unroll
    for (int chunk = 0; chunk < kValueChunks; ++chunk) {
      const uint64_t values = ptx::matrix_descriptor(ptx::shared_address(keys(chunk)), kChunkBytes);
#pragma unroll
      for (int k = 0; k < kTileKeys / 16; ++k) {
        ptx::wgmma_narrow<kElement, true>(sums[chunk], ptx::advanced(values, k * 16 * 128),
                                          ptx::advanced(weights, k * 16 * 2), 1);
      }
    }
    ptx::wgmma_commit();
    if (planted(Defect::released_before_read) && which_weights == 0) release(0, kValueChunks);
    ptx::wgmma_wait<0>();
    ptx::wgmma_pin(sums);
  }

  __device__ void add_tile(const Unit& unit, const Tile& tile, Softmax& softmax, Sums& sums) const {
    Scores scores;
    start_scores(scores);
    if constexpr (kRounds) softmax.publish_sums(shared);
    ptx::wgmma_wait<0>();
    ptx::wgmma_pin(scores);
    release(kValueChunks, kChunks);
    softmax.publish_maxima(scores, tile, params, shared);
    if constexpr (!planted(Defect::maxima_without_barrier)) wait_for_group();
    Factors factors;
    const bool refines =
        softmax.template step<kRounds>(scores, shared, factors) && !planted(Defect::remainders_forgotten);
    store_weights(scores, refines);
    sanitise(unit, tile, sums);
    rescale(sums, factors);
    if constexpr (!planted(Defect::weights_without_proxy_fence)) ptx::async_proxy_fence();
    if constexpr (!planted(Defect::weights_without_barrier)) wait_for_group();
    for (int which = refines ? 1 : 0; which >= 0; --which) add_values(sums, which);
    if constexpr (!planted(Defect::released_before_read)) release(0, kValueChunks);
  }

  /// What the unit's threads share of a row: a thread each.
  __device__ void describe_row(const Unit& unit, int row) const {
    const Outputs& outputs = params.outputs;
    const int32_t last = unit.row_count - 1;
    shared.limits[row] = visible(params, unit, (unit.row_begin + min(last, row)) / outputs.group);
    shared.out_at[row] = unit.partial_row >= 0 ? (unit.partial_row + row) * kValueWidth
                                               : row_offset(outputs.out_strides, unit.sequence, unit.first_token,
                                                            unit.kv_head, outputs.group, unit.row_begin + row);
  }

  __device__ void finish(const Unit& unit, const Softmax& softmax, const Sums& sums) const {
    softmax.publish_result(shared);
    wait_for_group();
    if (threadIdx.x < kRows) {
      const int row = static_cast<int>(threadIdx.x);
      store_lse(row, (shared.maxima[0][row] + ptx::log2(Softmax::total(shared, row))) * kLn2, params, unit);
    }
    Factors factors;
#pragma unroll
    for (int own = 0; own < Softmax::kOwn; ++own) {
      const float sum = Softmax::total(shared, Softmax::row_of(own));
      factors[own] = sum == 0 ? 0 : ptx::reciprocal(sum);
    }
    store_columns<kElement, kValueChunks, kRows>(sums, factors, params, unit, shared);
  }

  __device__ void multiply() {
    const int32_t begin = params.part_begin[blockIdx.x], end = params.part_begin[blockIdx.x + 1];
    for (int32_t u = begin; u < end; ++u) {
      const Unit& unit = params.units[u];
      // What finish() of the unit before reads is written behind a barrier only.
      if (u > begin) wait_for_group();
      if (threadIdx.x < kRows) describe_row(unit, static_cast<int>(threadIdx.x));
      load_queries<kWidth, kFewRowsWarps, kRows>(params, unit, shared.queries);
      if constexpr (!planted(Defect::queries_without_barrier)) wait_for_group();
      const Tiles tiles(unit);
      Softmax softmax(params, unit);
      Sums sums;
#pragma unroll
      for (auto& chunk : sums) {
#pragma unroll
        for (float& sum : chunk) sum = 0;
      }
      for (int32_t i = 0; i < tiles.count(); ++i, next_tile()) add_tile(unit, tiles[i], softmax, sums);
      // Not sooner: its CTAs would crowd on the few SMs that have room already.
      if (u + 1 == end) ptx::let_next_grid_start();
      finish(unit, softmax, sums);
    }
  }
};

template <Element kElement, int kWidth, int kValueWidth, int kRows>
__device__ __forceinline__ void decode_few_rows(const TensorMapBytes& map, const DecodeParams& params) {
  extern __shared__ __align__(1024) uint8_t memory[];
  using Kernel = DecodeFewRows<kElement, kWidth, kValueWidth, kRows>;
  Kernel kernel{params, *reinterpret_cast<typename Kernel::Shared*>(memory)};
  const bool gathers = params.gathers != 0;
  if (threadIdx.x == 0) {
    if (!gathers) ptx::prefetch_tensor_map(&map);
    initialise_slots(kernel.shared, gathers ? kGatheringWarps : 1, kFewRowsWarps);
  }
  __syncthreads();
  if (threadIdx.x < Kernel::kThreads) {
    kernel.multiply();
  } else if (gathers) {
    KeyGatherer<kWidth, Kernel::kChunks, Kernel::kChunks, typename Kernel::Shared>(params, kernel.shared).run();
  } else if (threadIdx.x < Kernel::kThreads + 32) {
    load_keys<Kernel::kChunks, Kernel::kChunks>(&map, params, kernel.shared);
  }
}

}  // namespace flash_mla::sm90
