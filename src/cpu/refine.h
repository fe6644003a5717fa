// Makes good what rounding weights to bfloat16 costs, where it shows.
//
// A weight rounded to 8 bits is off by 1.1e-3 to 2.3e-3 of itself (root mean square; the least for weights just below a
// power of two, as those near the maximum are), which moves the output by that * sqrt(sum w^2) of a value, w being the
// weights' shares of the sum. Were all shares below kShare, six standard deviations would be 6e-4 for weights near the
// maximum and values N(0, 1): within the contract's 8e-4. So only keys with larger shares need the rest of their weight
// in float32. Shares fall as more keys come: a key is noted when it stands out among the keys so far, and added at the
// end if it still does. In a long context few are noted, after the first tiles, and fewer added: where the list is
// full, it loses those that no longer stand out.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"
#include "cpu/panel.h"

namespace flash_mla::cpu {
namespace {

inline constexpr float kShare = 1.0f / 128;

/// Keys whose weights stand out in some row of a panel.
template <class M, bool kRounds = M::kDepth == 2>
class Outstanding {
 public:
  void start(void* memory) {
    weights_ = static_cast<float*>(memory);
    values_ = reinterpret_cast<const typename M::Stored**>(weights_ + kMaxOutstanding * kPanelRows);
    count_ = 0;
  }

  /// Notes the keys of a tile that the panel has just taken. `scores` and `max` are raw, as softmax_tile took them.
  template <int kSplit>
  void note(const Panel& panel, float scale_log2, const float* scores, const float* max, int count,
            const typename M::Stored* const* values, int64_t offset, float* output, int blocks) {
    constexpr int kRows = kPanelRows / kSplit;
    alignas(64) float bar[kPanelRows];
    bool any = false;
    for (int row = 0; row < kRows; ++row) {
      const float least = (log2_below(kShare * row_sum(panel, row)) + panel.shift[row]) / scale_log2;
      any |= max[row] > least;
      for (int lane = row; lane < kPanelRows; lane += kRows) bar[lane] = least;
    }
    if (!any) return;
    // Which keys stand out is too random to be branched on.
    int found[kMaxTileKeys], num_found = 0;
    for (int n = 0; n < count; n += kSplit) {
      found[num_found] = n;
      num_found += stands_out(scores + n / kSplit * kPanelRows, bar);
    }
    for (int f = 0; f < num_found; ++f) {
      const int n = found[f];
      const float* score = scores + n / kSplit * kPanelRows;
      if (count_ + kSplit > kMaxOutstanding) make_room(panel, output, blocks);
      alignas(64) float weights[kPanelRows];
      for (int i = 0; i < kPanelRows; i += M::kLanes) {
        M::store(weights + i, weight_of<M>(M::load(score + i), M::set(scale_log2), M::load(panel.shift + i)));
      }
      for (int part = 0; part < kSplit && n + part < count; ++part) {
        memcpy(weights_ + count_ * kPanelRows, weights + part * kRows, sizeof(float) * kRows);
        values_[count_++] = values[n + part] + offset;
      }
    }
  }

  /// Adds what rounding took from the noted weights that still stand out, and forgets them all.
  void add(const Panel& panel, float* output, int blocks) {
    if (count_ == 0) return;
    alignas(64) float bar[kPanelRows];
    bars(panel, bar);
    for (int n = 0; n < count_; ++n) {
      const float* weights = weights_ + n * kPanelRows;
      if (!stands_out(weights, bar)) continue;
      for (int row = 0; row < panel.rows; ++row) {
        const float w = weights[row];
        if (w > bar[row]) add_value(w - round_weight(w), values_[n], row, output, blocks);
      }
    }
    count_ = 0;
  }

 private:
  /// Forgets what no longer stands out, as the sums have grown; where that is little, adds all.
  void make_room(const Panel& panel, float* output, int blocks) {
    alignas(64) float bar[kPanelRows];
    bars(panel, bar);
    int kept = 0;
    for (int n = 0; n < count_; ++n) {
      const float* weights = weights_ + n * kPanelRows;
      const bool keep = stands_out(weights, bar);
      for (int i = 0; i < kPanelRows; i += M::kLanes) M::store(weights_ + kept * kPanelRows + i, M::load(weights + i));
      values_[kept] = values_[n];
      kept += keep;
    }
    count_ = kept;
    if (kept > kMaxOutstanding * 7 / 8) add(panel, output, blocks);
  }

  /// Weights that a row's must exceed to be added; the panel's other lanes have none that do.
  void bars(const Panel& panel, float* bar) {
    for (int row = 0; row < kPanelRows; ++row)
      bar[row] = row < panel.rows ? kShare * row_sum(panel, row) : __builtin_inff();
  }

  FLASH_MLA_INLINE bool stands_out(const float* values, const float* bar) {
    bool any = false;
    for (int i = 0; i < kPanelRows; i += M::kLanes) any |= M::any_greater(M::load(values + i), M::load(bar + i));
    return any;
  }

  /// At most 0.09 below log2(x), for x > 0: the exponent and the mantissa's bits as a fraction.
  FLASH_MLA_INLINE float log2_below(float x) {
    return static_cast<float>(static_cast<int32_t>(float_to_bits(x)) - 0x3f800000) * 0x1p-23f;
  }

  /// Infinities and NaN as finite numbers: the output holds them already, and as `rest` may be negative, an infinity
  /// would meet its negative there.
  FLASH_MLA_INLINE typename M::Vec finite(typename M::Vec x) {
    const typename M::Vec lowest = M::set(-__FLT_MAX__);
    const typename M::Vec negated = M::sub(M::zero(), M::max_number(x, lowest));
    return M::sub(M::zero(), M::max_number(negated, lowest));
  }

  FLASH_MLA_INLINE void add_value(float rest, const typename M::Stored* value, int row, float* output, int blocks) {
    constexpr int kWidth = M::kPvVecs * M::kLanes;
    const typename M::Vec factor = M::set(rest);
    for (int b = 0; b < blocks; ++b) {
      typename M::Vec columns[M::kPvVecs];
      M::widen_values(columns, value + b * kWidth);
      float* o = output + (static_cast<int64_t>(b) * kPanelRows + row) * kWidth;
      FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) {
        M::store(o + i * M::kLanes, M::fma(factor, finite(columns[i]), M::load(o + i * M::kLanes)));
      }
    }
  }

  float* weights_;                     // [kMaxOutstanding][16]
  const typename M::Stored** values_;  // [kMaxOutstanding]
  int count_;
};

/// Weights that are not rounded leave nothing to add.
template <class M>
class Outstanding<M, false> {
 public:
  void start(void*) {}
  template <int kSplit>
  void note(const Panel&, float, const float*, const float*, int, const typename M::Stored* const*, int64_t, float*,
            int) {}
  void add(const Panel&, float*, int) {}
};

}  // namespace
}  // namespace flash_mla::cpu
