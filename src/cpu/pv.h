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

/// Value rows start `offset` elements behind where `values` point. Rows of the panel in blocks of nearly equal size: 16
/// rows in blocks of up to 6 are 6, 5 and 5.
template <class M>
FLASH_MLA_NOINLINE void pv_tile(const uint32_t* weights, const typename M::Stored* const* values, int64_t offset,
                                int steps, int blocks, float* output, int rows, uint32_t live, bool first,
                                Prefetcher& prefetcher) {
  constexpr int kWidth = M::kPvVecs * M::kLanes;
  const int groups = (rows + M::kPvRows - 1) / M::kPvRows;
  for (int b = 0; b < blocks; ++b) {
    float* block = output + static_cast<int64_t>(b) * kPanelRows * kWidth;
    int row = 0;
    for (int g = 0; g < groups; ++g) {
      const int n = (rows - row + groups - g - 1) / (groups - g);
      const auto run = [&]<int kRows>() __attribute__((always_inline)) {
        pv_block<M, kRows>(weights + row, values, steps, offset + b * kWidth, block + row * kWidth, live >> row, first,
                           prefetcher);
      };
      switch (n) {
        case 1:
          run.template operator()<1>();
          break;
        case 2:
          run.template operator()<2>();
          break;
        case 3:
          run.template operator()<3>();
          break;
        case 4:
          run.template operator()<4>();
          break;
        case 5:
          if constexpr (M::kPvRows >= 5) run.template operator()<5>();
          break;
        default:
          if constexpr (M::kPvRows >= 6) run.template operator()<6>();
          break;
      }
      row += n;
    }
  }
}

}  // namespace
}  // namespace flash_mla::cpu
