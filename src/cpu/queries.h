// The queries of a panel, packed once for all keys.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"
#include "cpu/key_tile.h"

namespace flash_mla::cpu {
namespace {

template <class From>
FLASH_MLA_INLINE const typename From::Raw* query_row(const Unit& unit, int64_t row) {
  return static_cast<const typename From::Raw*>(unit.q.data) + row / unit.group * unit.q.token_stride +
         row % unit.group * unit.q.head_stride;
}

/// Packs a panel's queries as the dot products take them: words w to w + kSplit - 1 of row r at
/// packed[w * (16 / kSplit) + r * kSplit]. Rows that do not exist are 0. The sign of the scale goes into the queries,
/// so that the largest product is the largest score.
template <class M, class From, int kSplit>
void pack_queries(const Unit& unit, int64_t first_row, int rows, int words, uint32_t* packed) {
  constexpr uint32_t kSigns = M::kDepth == 2 ? 0x80008000u : 0x80000000u;
  const uint32_t flip = unit.scale < 0 ? kSigns : 0;
  if constexpr (M::kTransposes && kSplit == 1 && kSame<typename M::Stored, typename From::Raw>) {
    if (unit.d % (16 * M::kDepth) == 0) {
      const uint32_t* row[kPanelRows];
      for (int r = 0; r < kPanelRows; ++r)
        row[r] = r < rows ? reinterpret_cast<const uint32_t*>(query_row<From>(unit, first_row + r)) : kZeroRow;
      for (int w = 0; w < words; w += 16) M::transpose(row, w, flip, packed + w * kPanelRows);
      return;
    }
  }
  alignas(64) uint32_t row[1024 + M::kLanes];
  for (int lane = 0; lane < kPanelRows / kSplit; ++lane) {
    if (lane < rows) {
      stage_row<M, From>(reinterpret_cast<typename M::Stored*>(row), query_row<From>(unit, first_row + lane), unit.d,
                         words * M::kDepth);
    } else {
      memset(row, 0, sizeof(row[0]) * static_cast<size_t>(words));
    }
    for (int w = 0; w < words; w += kSplit) {
      FLASH_MLA_UNROLL for (int i = 0; i < kSplit; ++i) packed[w * (kPanelRows / kSplit) + lane * kSplit + i] =
          row[w + i] ^ flip;
    }
  }
}

}  // namespace
}  // namespace flash_mla::cpu
