// A panel: up to 16 query rows as the lanes of the score tile, with their running softmax.
//
// A panel of at most 16 / kSplit rows can share a vector of 16 scores between kSplit keys: row r and key n are then in
// lane n % kSplit * (16 / kSplit) + r of vector n / kSplit. Each of the kSplit parts of the lanes keeps its own sum;
// what else a lane holds is the same for all lanes of a row.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"

namespace flash_mla::cpu {
namespace {

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
  int split;     // 1, 2 or 4
  bool touched;  // the output block holds something
};

/// The weight of a score. Multiplied and subtracted apart: fused, the largest score's product would not meet its
/// rounded shift at 0, and large scores would lose all accuracy.
template <class M>
FLASH_MLA_INLINE typename M::Vec weight_of(typename M::Vec score, typename M::Vec scale, typename M::Vec shift) {
  return M::exp2(M::sub(M::mul(score, scale), shift));
}

inline constexpr float kStaleMax = 6.0f;

/// Calls run<kSplit>() for the panel's.
template <class M, class Run>
FLASH_MLA_INLINE void with_split(const Panel& panel, Run run) {
  if constexpr (M::kMaxSplit == 4) {
    if (panel.split == 4) return run.template operator()<4>();
    if (panel.split == 2) return run.template operator()<2>();
  }
  run.template operator()<1>();
}

/// How many keys shall share a vector: as many as there is room for, where keys have a multiple of that many words.
template <class M>
FLASH_MLA_INLINE int choose_split(int rows, int words) {
  for (int split = M::kMaxSplit; split > 1; split /= 2) {
    if (rows * split <= kPanelRows && words % split == 0) return split;
  }
  return 1;
}

template <class M>
void start_panel(const Unit& unit, int64_t first_row, int64_t rows, int words, Panel& panel) {
  panel.rows = static_cast<int>(rows);
  panel.split = choose_split<M>(panel.rows, words);
  panel.touched = false;
  panel.least_end = INT32_MAX, panel.most_end = 0, panel.most_begin = 0;
  for (int lane = 0; lane < kPanelRows; ++lane) {
    const int64_t row = first_row + minimum(lane % (kPanelRows / panel.split), panel.rows - 1);
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
template <int kSplit>
uint32_t hide_keys(const Unit& unit, const Panel& panel, const int32_t* keys, int count, float* scores) {
  constexpr int kRows = kPanelRows / kSplit;
  const float hidden = -__builtin_inff();
  const int32_t sinks = static_cast<int32_t>(minimum(unit.sinks, INT32_MAX));
  int32_t seen[kRows] = {};
  for (int n = 0; n < count; ++n) {
    const int32_t key = keys[n];
    float* score = scores + n * kRows;
    for (int row = 0; row < kRows; ++row) {
      const bool visible = (key < panel.key_end[row]) & ((key >= panel.key_begin[row]) | (key < sinks));
      score[row] = visible ? score[row] : hidden;
      seen[row] |= visible;
    }
  }
  uint32_t live = 0;
  for (int row = 0; row < kRows; ++row) live |= static_cast<uint32_t>(seen[row]) << row;
  return live;
}

/// Hides the lanes of keys that the last vector has no key for.
template <int kSplit>
FLASH_MLA_INLINE void hide_rest(int count, float* scores) {
  constexpr int kRows = kPanelRows / kSplit;
  for (; count % kSplit != 0; ++count) {
    for (int row = 0; row < kRows; ++row) scores[count * kRows + row] = -__builtin_inff();
  }
}

/// Gives all lanes of a row the largest value among them.
template <int kSplit>
FLASH_MLA_INLINE void max_over_parts(float* lanes) {
  constexpr int kRows = kPanelRows / kSplit;
  for (int row = 0; row < kRows; ++row) {
    float max = lanes[row];
    for (int lane = row + kRows; lane < kPanelRows; lane += kRows) max = lanes[lane] > max ? lanes[lane] : max;
    for (int lane = row; lane < kPanelRows; lane += kRows) lanes[lane] = max;
  }
}

/// Sum of a row's weights so far.
FLASH_MLA_INLINE float row_sum(const Panel& panel, int row) {
  float sum = panel.sum[row];
  for (int lane = row + kPanelRows / panel.split; lane < kPanelRows; lane += kPanelRows / panel.split)
    sum += panel.sum[lane];
  return sum;
}

}  // namespace
}  // namespace flash_mla::cpu
