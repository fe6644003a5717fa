// A panel: 16 query rows as the lanes of the score tile, with their running softmax.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"

namespace flash_mla::cpu {
namespace {

constexpr int kMaxUnitRows = 128;

struct alignas(64) Panel {
  // Running maximum of the scaled scores, in units of log2, and the sum of 2^(score - shift). The maximum may be
  // exceeded by kStaleMax before the output is rescaled; shift is the maximum where that is finite, else 0.
  float max[kPanelRows];
  float shift[kPanelRows];
  float sum[kPanelRows];
  // Keys a row sees: below key_end, and of those from key_begin on or below the sinks. Lanes without a row repeat the
  // last.
  int32_t key_begin[kPanelRows];
  int32_t key_end[kPanelRows];
  int32_t least_end, most_end, most_begin;
  int rows;
  bool touched;  // the output block holds something
};

/// The weight of a score. Multiplied and subtracted apart: fused, the largest score's product would not meet its
/// rounded shift at 0, and large scores would lose all accuracy.
template <class M>
FLASH_MLA_INLINE typename M::Vec weight_of(typename M::Vec score, typename M::Vec scale, typename M::Vec shift) {
  return M::exp2(M::sub(M::mul(score, scale), shift), M::kExp2);
}

inline constexpr float kStaleMax = 6.0f;

FLASH_MLA_INLINE void start_panel(const Unit& unit, int64_t first_row, Panel& panel) {
  panel.rows = static_cast<int>(minimum(kPanelRows, unit.row_begin + unit.row_count - first_row));
  panel.touched = false;
  panel.least_end = INT32_MAX, panel.most_end = 0, panel.most_begin = 0;
  for (int lane = 0; lane < kPanelRows; ++lane) {
    const int64_t row = first_row + minimum(lane, panel.rows - 1);
    const int64_t token = row / unit.group;
    const int64_t end = unit.causal ? maximum(0, unit.s_k - (unit.s_q - 1 - token)) : unit.s_k;
    const int64_t begin = unit.window > 0 ? maximum(0, end - unit.window) : 0;
    panel.key_begin[lane] = static_cast<int32_t>(begin);
    panel.key_end[lane] = static_cast<int32_t>(end);
    panel.least_end = static_cast<int32_t>(minimum(panel.least_end, end));
    panel.most_end = static_cast<int32_t>(maximum(panel.most_end, end));
    panel.most_begin = static_cast<int32_t>(maximum(panel.most_begin, begin));
    panel.max[lane] = -__builtin_inff();
    panel.shift[lane] = panel.sum[lane] = 0;
  }
}

/// Whether all rows see all of the keys first to last.
FLASH_MLA_INLINE bool sees_all(const Unit& unit, const Panel& panel, int32_t first, int32_t last) {
  return last < panel.least_end && (first >= panel.most_begin || last < unit.sinks);
}

/// Sets the scores of hidden keys to -inf. Returns a bit for each row that sees some key of the tile.
inline uint32_t hide_keys(const Unit& unit, const Panel& panel, const int32_t* keys, int count, float* scores) {
  const float hidden = -__builtin_inff();
  const int32_t sinks = static_cast<int32_t>(minimum(unit.sinks, INT32_MAX));
  int32_t seen[kPanelRows] = {};
  for (int n = 0; n < count; ++n) {
    const int32_t key = keys[n];
    float* score = scores + n * kPanelRows;
    for (int lane = 0; lane < kPanelRows; ++lane) {
      const bool visible = (key < panel.key_end[lane]) & ((key >= panel.key_begin[lane]) | (key < sinks));
      score[lane] = visible ? score[lane] : hidden;
      seen[lane] |= visible;
    }
  }
  uint32_t live = 0;
  for (int lane = 0; lane < kPanelRows; ++lane) live |= static_cast<uint32_t>(seen[lane]) << lane;
  return live;
}

/// Packs a panel's queries as the dot products take them: word w of row r at words[w * 16 + r]. Rows that do not exist
/// are 0. The sign of the scale goes into the queries, so that the largest product is the largest score.
template <class M, class From>
void pack_queries(const Unit& unit, int64_t first_row, int rows, int words, uint32_t* packed) {
  const bool negate = unit.scale < 0;
  typename M::Stored row[1024 + M::kLanes];
  for (int lane = 0; lane < kPanelRows; ++lane) {
    if (lane < rows) {
      const int64_t r = first_row + lane;
      const auto* q = static_cast<const typename From::Raw*>(unit.q.data) + r / unit.group * unit.q.token_stride +
                      r % unit.group * unit.q.head_stride;
      stage_row<M, From>(row, q, unit.d, words * M::kDepth);
    } else {
      memset(row, 0, sizeof(row[0]) * static_cast<size_t>(words * M::kDepth));
    }
    for (int w = 0; w < words; ++w) {
      uint32_t word;
      memcpy(&word, row + w * M::kDepth, 4);
      if (negate) word ^= M::kDepth == 2 ? 0x80008000u : 0x80000000u;
      packed[w * kPanelRows + lane] = word;
    }
  }
}

}  // namespace
}  // namespace flash_mla::cpu
