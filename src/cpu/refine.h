// Makes good what rounding weights to bfloat16 costs, where it shows.
//
// A weight rounded to 8 bits is off by 8e-4 of itself (root mean square), and the output by 8e-4 * sqrt(sum w^2) of a
// value, w being the weights' shares of the sum. That passes the contract's 8e-4 six times over unless a few keys hold
// much of the sum: those few, with a share above kShare, get the rest of their weight added in float32. Shares only
// fall as more keys come, so this happens in the first tiles and for keys that stand out.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/panel.h"

namespace flash_mla::cpu {
namespace {

inline constexpr float kShare = 1.0f / 32;

/// Adds `rest` times a value row to row `lane` of an output panel.
template <class M>
FLASH_MLA_INLINE void add_value(float rest, const typename M::Stored* value, int lane, float* output, int blocks) {
  constexpr int kWidth = M::kPvVecs * M::kLanes;
  const typename M::Vec factor = M::set(rest);
  for (int b = 0; b < blocks; ++b) {
    typename M::Vec columns[M::kPvVecs];
    M::widen_values(columns, value + b * kWidth);
    float* o = output + (static_cast<int64_t>(b) * kPanelRows + lane) * kWidth;
    FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) {
      M::store(o + i * M::kLanes, M::fma(factor, columns[i], M::load(o + i * M::kLanes)));
    }
  }
}

/// `scores` and `max` are the tile's raw scores, as softmax_tile took them, after the panel has taken the tile.
template <class M>
void refine_output(const Panel& panel, float scale_log2, const float* scores, const float* max, int count,
                   const typename M::Stored* const* values, float* output, int blocks) {
  using Vec = typename M::Vec;
  const Vec scale = M::set(scale_log2);
  const auto weight_of = [&](const float* score, int lane) __attribute__((always_inline)) {
    return M::exp2(M::sub(M::mul(M::load(score + lane), scale), M::load(panel.shift + lane)), M::kExp2);
  };
  alignas(64) float least[kPanelRows];
  bool any = false;
  for (int i = 0; i < kPanelRows; i += M::kLanes) {
    const Vec bar = M::mul(M::load(panel.sum + i), M::set(kShare));
    any |= M::any_greater(weight_of(max, i), bar);
    M::store(least + i, bar);
  }
  if (!any) return;
  for (int n = 0; n < count; ++n) {
    for (int i = 0; i < kPanelRows; i += M::kLanes) {
      const Vec weight = weight_of(scores + n * kPanelRows, i);
      if (!M::any_greater(weight, M::load(least + i))) continue;
      alignas(64) float exact[M::kLanes];
      M::store(exact, weight);
      for (int lane = i; lane < i + M::kLanes && lane < panel.rows; ++lane) {
        const float w = exact[lane - i];
        if (w > least[lane]) add_value<M>(w - round_weight(w), values[n], lane, output, blocks);
      }
    }
  }
}

}  // namespace
}  // namespace flash_mla::cpu
