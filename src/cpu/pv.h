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
template <class M, int kRows, int kBlocks>
FLASH_MLA_INLINE void pv_block(const uint32_t* weights, const typename M::Stored* const* values, int steps,
                               int64_t column, float* output, uint32_t live, bool first, Prefetcher& prefetcher) {
  constexpr int kWidth = M::kPvVecs * M::kLanes;
  typename M::Vec sum[kBlocks][kRows][M::kPvVecs];
  const auto for_each_row = [&](auto visit) __attribute__((always_inline)) {
    FLASH_MLA_UNROLL for (int b = 0; b < kBlocks; ++b) {
      FLASH_MLA_UNROLL for (int r = 0; r < kRows; ++r) visit(r, sum[b][r], output + (b * kPanelRows + r) * kWidth);
    }
  };
  for_each_row([](int, auto& row, float*) __attribute__((always_inline)) {
    FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) row[i] = M::zero();
  });
  PrefetchCursor next = Prefetcher::begin(prefetcher, steps);
  for (int s = 0; s < steps; ++s) {
    typename M::Operand value[kBlocks][M::kPvVecs];
    FLASH_MLA_UNROLL for (int b = 0; b < kBlocks; ++b) M::load_values(value[b], values, s, column + b * kWidth);
    FLASH_MLA_UNROLL for (int r = 0; r < kRows; ++r) {
      const typename M::Operand weight = M::template broadcast<1>(weights + s * kPanelRows + r);
      FLASH_MLA_UNROLL for (int b = 0; b < kBlocks; ++b) {
        FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) sum[b][r][i] = M::dot(sum[b][r][i], value[b][i], weight);
      }
    }
    fetch(next);
  }
  Prefetcher::end(prefetcher, next);
  constexpr uint32_t kAll = (1u << kRows) - 1;
  if (__builtin_expect(!first && (live & kAll) == kAll, 1)) {
    for_each_row([](int, auto& row, float* out) __attribute__((always_inline)) {
      FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) {
        M::store(out + i * M::kLanes, M::add(row[i], M::load(out + i * M::kLanes)));
      }
    });
    return;
  }
  for_each_row([&](int r, auto& row, float* out) __attribute__((always_inline)) {
    const bool keep = (live >> r & 1) != 0;
    FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) {
      float* o = out + i * M::kLanes;
      if (first) {
        M::store(o, keep ? row[i] : M::zero());
      } else if (keep) {
        M::store(o, M::add(row[i], M::load(o)));
      }
    }
  });
}

/// The panel's rows in `groups` groups of kMost or kMost - 1. Which of the two comes next is the same for every block
/// of columns: a jump for every group cost 1.5 % of all time.
template <class M, int kMost, int kBlocks>
FLASH_MLA_INLINE void pv_columns(const uint32_t* weights, const typename M::Stored* const* values, int64_t column,
                                 int steps, float* output, int bigger, int groups, uint32_t live, bool first,
                                 Prefetcher& prefetcher) {
  constexpr int kWidth = M::kPvVecs * M::kLanes;
  const auto run = [&]<int kRows>(int row) __attribute__((always_inline)) {
    pv_block<M, kRows, kBlocks>(weights + row, values, steps, column, output + row * kWidth, live >> row, first,
                                prefetcher);
  };
  int row = 0;
  for (int g = 0; g < bigger; ++g, row += kMost) run.template operator()<kMost>(row);
  if constexpr (kMost > 1) {
    for (int g = bigger; g < groups; ++g, row += kMost - 1) run.template operator()<kMost - 1>(row);
  }
}

/// Few rows take two blocks of columns at a time, so that there are sums enough to hide the dot products' latency.
template <class M, int kMost>
FLASH_MLA_NOINLINE void pv_rows(const uint32_t* weights, const typename M::Stored* const* values, int64_t offset,
                                int steps, int blocks, float* output, int rows, int groups, uint32_t live, bool first,
                                Prefetcher& prefetcher) {
  constexpr int kWidth = M::kPvVecs * M::kLanes;
  const int bigger = rows - groups * (kMost - 1);
  const auto run = [&]<int kBlocks>(int b) __attribute__((always_inline)) {
    pv_columns<M, kMost, kBlocks>(weights, values, offset + b * kWidth, steps, output + b * kPanelRows * kWidth, bigger,
                                  groups, live, first, prefetcher);
  };
  int b = 0;
  if constexpr (kMost <= M::kPvFewRows) {
    for (; b + 2 <= blocks; b += 2) run.template operator()<2>(b);
  }
  for (; b < blocks; ++b) run.template operator()<1>(b);
}

/// In as few groups as possible, of nearly equal size: 16 rows in groups of up to 6, as AVX2 has them, are 6, 5 and 5.
template <class M>
int num_groups(int rows) {
  return (rows + M::kPvRows - 1) / M::kPvRows;
}

/// Of the inner loop, in all.
template <class M>
int64_t pv_iterations(int rows, int blocks, int steps) {
  const int groups = num_groups<M>(rows);
  const bool few = (rows + groups - 1) / groups <= M::kPvFewRows;
  return int64_t{groups} * (few ? (blocks + 1) / 2 : blocks) * steps;
}

/// Value rows start `offset` elements behind where `values` point.
template <class M, int kMost = M::kPvRows>
void pv_tile(const uint32_t* weights, const typename M::Stored* const* values, int64_t offset, int steps, int blocks,
             float* output, int rows, uint32_t live, bool first, Prefetcher& prefetcher) {
  const int groups = num_groups<M>(rows);
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
