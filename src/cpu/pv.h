// Output of a panel: O[16 rows][columns] += P V.
//
// O is blocked by columns, [block][16 rows][block width], so that a block's accumulators start at zero, stay in
// registers over the whole tile, and are added to O once. V is read in place, one row a key (two at a time where a word
// is a pair).
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"
#include "cpu/prefetch.h"

namespace flash_mla::cpu {
namespace {

/// `live` has a bit for each row that sees some key of the tile; others are left alone, as their products may be 0 *
/// NaN.
template <class M, int kRows>
FLASH_MLA_INLINE void pv_block(const uint32_t* weights, const typename M::Stored* const* values, int steps,
                               int64_t column, float* output, uint32_t live, bool first, Prefetcher& prefetcher) {
  typename M::Vec sum[kRows][M::kPvVecs];
  FLASH_MLA_UNROLL for (int r = 0; r < kRows; ++r) {
    FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) sum[r][i] = M::zero();
  }
  PrefetchCursor next = Prefetcher::begin(prefetcher, steps);
  for (int s = 0; s < steps; ++s) {
    typename M::Operand value[M::kPvVecs];
    M::load_values(value, values, s, column);
    FLASH_MLA_UNROLL for (int r = 0; r < kRows; ++r) {
      const typename M::Operand weight = M::template broadcast<1>(weights + s * kPanelRows + r);
      FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) sum[r][i] = M::dot(sum[r][i], value[i], weight);
    }
    fetch(next);
  }
  Prefetcher::end(prefetcher, next);
  constexpr uint32_t kAll = (1u << kRows) - 1;
  if (__builtin_expect(!first && (live & kAll) == kAll, 1)) {
    FLASH_MLA_UNROLL for (int r = 0; r < kRows; ++r) {
      FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) {
        float* o = output + (r * M::kPvVecs + i) * M::kLanes;
        M::store(o, M::add(sum[r][i], M::load(o)));
      }
    }
    return;
  }
  FLASH_MLA_UNROLL for (int r = 0; r < kRows; ++r) {
    const bool keep = (live >> r & 1) != 0;
    FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) {
      float* o = output + (r * M::kPvVecs + i) * M::kLanes;
      if (first) {
        M::store(o, keep ? sum[r][i] : M::zero());
      } else if (keep) {
        M::store(o, M::add(sum[r][i], M::load(o)));
      }
    }
  }
}

/// The panel's rows in `groups` groups of kMost or kMost - 1. Which of the two comes next is the same for every block
/// of columns: a jump for every group cost 1.5 % of all time.
template <class M, int kMost>
FLASH_MLA_NOINLINE void pv_rows(const uint32_t* weights, const typename M::Stored* const* values, int64_t offset,
                                int steps, int blocks, float* output, int rows, int groups, uint32_t live, bool first,
                                Prefetcher& prefetcher) {
  constexpr int kWidth = M::kPvVecs * M::kLanes;
  const int bigger = rows - groups * (kMost - 1);
  for (int b = 0; b < blocks; ++b, output += kPanelRows * kWidth) {
    const auto run = [&]<int kRows>(int row) __attribute__((always_inline)) {
      pv_block<M, kRows>(weights + row, values, steps, offset + b * kWidth, output + row * kWidth, live >> row, first,
                         prefetcher);
    };
    int row = 0;
    for (int g = 0; g < bigger; ++g, row += kMost) run.template operator()<kMost>(row);
    if constexpr (kMost > 1) {
      for (int g = bigger; g < groups; ++g, row += kMost - 1) run.template operator()<kMost - 1>(row);
    }
  }
}

/// Value rows start `offset` elements behind where `values` point.
template <class M, int kMost = M::kPvRows>
void pv_tile(const uint32_t* weights, const typename M::Stored* const* values, int64_t offset, int steps, int blocks,
             float* output, int rows, uint32_t live, bool first, Prefetcher& prefetcher) {
  // In as few groups as possible, of nearly equal size: 16 rows in groups of up to 6, as AVX2 has them, are 6, 5 and 5.
  const int groups = (rows + M::kPvRows - 1) / M::kPvRows;
  if constexpr (kMost > 1) {
    if (rows <= groups * (kMost - 1)) {
      pv_tile<M, kMost - 1>(weights, values, offset, steps, blocks, output, rows, live, first, prefetcher);
      return;
    }
  }
  pv_rows<M, kMost>(weights, values, offset, steps, blocks, output, rows, groups, live, first, prefetcher);
}

}  // namespace
}  // namespace flash_mla::cpu
