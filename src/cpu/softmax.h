// The running softmax of a panel (Milakov & Gimelshein, 2018), lane-wise over rows, with a stale maximum: the output is
// rescaled only when a score passes the maximum in use by a factor of 2^kStaleMax, which is rare after the first tile.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/panel.h"
#include "cpu/refine.h"

namespace flash_mla::cpu {
namespace {

/// Multiplies row r of an output panel [blocks][16][width] by factor[r].
template <class M>
void rescale_output(float* output, int blocks, int rows, int width, const float* factor) {
  for (int b = 0; b < blocks; ++b, output += kPanelRows * width) {
    for (int row = 0; row < rows; ++row) {
      float* columns = output + row * width;
      const typename M::Vec f = M::set(factor[row]);
      for (int i = 0; i < width; i += M::kLanes) M::store(columns + i, M::mul(M::load(columns + i), f));
    }
  }
}

/// Raises the maximum to the tile's where needed. `tile_max` is scaled.
template <class M>
void raise_max(Panel& panel, const float* tile_max, float* output, int blocks, int width) {
  alignas(64) float exponent[kPanelRows], factor[kPanelRows];
  for (int row = 0; row < kPanelRows; ++row) {
    const float max = tile_max[row] > panel.max[row] ? tile_max[row] : panel.max[row];
    const float shift = is_finite(max) ? max : 0;
    // A row without keys so far holds zeros: nothing to rescale, and 2^-shift may be infinite.
    exponent[row] = panel.max[row] == -__builtin_inff() ? 0 : panel.shift[row] - shift;
    panel.max[row] = max;
    panel.shift[row] = shift;
  }
  if (!panel.touched) return;
  for (int i = 0; i < kPanelRows; i += M::kLanes) {
    const typename M::Vec f = M::exp2(M::load(exponent + i));
    M::store(factor + i, f);
    M::store(panel.sum + i, M::mul(M::load(panel.sum + i), f));
  }
  rescale_output<M>(output, blocks, panel.rows, width, factor);
}

/// Largest score of each row after keys have been hidden; NaN does not count.
template <class M, int kSplit>
void tile_max(const float* scores, int count, float* max_out) {
  for (int i = 0; i < kPanelRows; i += M::kLanes) {
    typename M::Vec max = M::set(-__builtin_inff());
    for (int n = 0; n < count; n += kSplit) max = M::max_number(M::load(scores + n / kSplit * kPanelRows + i), max);
    M::store(max_out + i, max);
  }
  max_over_parts<kSplit>(max_out);
}

/// Cuts weights off to bfloat16 and stores what that leaves. A positive weight leaves something: infinities in V stay
/// what they are.
template <class M, int kSplit, int kTake>
FLASH_MLA_INLINE void cut_off(typename M::Vec (&weight)[kTake], uint32_t* rest_words) {
  const typename M::Vec least = M::set(__FLT_MIN__);
  typename M::Vec rest[kTake];
  FLASH_MLA_UNROLL for (int k = 0; k < kTake; ++k) {
    const typename M::Vec whole = M::cut_off(weight[k]);
    rest[k] = M::max_number(M::sub(weight[k], whole), M::min_number(weight[k], least));
    weight[k] = whole;
  }
  M::template store_weights<kSplit>(rest_words, rest);
}

/// Weights of `count` keys as words for the value product: key n of row r in word n / kDepth * 16 + r. With `rest`,
/// words are cut off instead of rounded, and `rest` takes what that leaves. The panel's sums grow by them.
template <class M, int kSplit>
FLASH_MLA_INLINE void weigh(Panel& panel, float scale_log2, const float* scores, int count, uint32_t* weights,
                            uint32_t* rest) {
  // Vectors of scores that make whole vectors of words.
  constexpr int kVecs = kPanelRows / M::kLanes, kTake = kSplit == 1 ? M::kDepth : 1;
  using Vec = typename M::Vec;
  const Vec scale = M::set(scale_log2);
  const int takes = ((count + kSplit - 1) / kSplit + kTake - 1) / kTake;
  for (int i = 0; i < kVecs; ++i) {
    const Vec shift = M::load(panel.shift + i * M::kLanes);
    Vec sum[kTake];
    FLASH_MLA_UNROLL for (int k = 0; k < kTake; ++k) sum[k] = M::zero();
    for (int t = 0; t < takes; ++t) {
      Vec weight[kTake];
      FLASH_MLA_UNROLL for (int k = 0; k < kTake; ++k) {
        const float* score = scores + (t * kTake + k) * kPanelRows + i * M::kLanes;
        weight[k] = weight_of<M>(M::load(score), scale, shift);
        sum[k] = M::add(sum[k], weight[k]);
      }
      const int word = (t * kTake * kSplit / M::kDepth) * kPanelRows + i * M::kLanes;
      if constexpr (M::kDepth == 2) {
        if (rest != nullptr) cut_off<M, kSplit>(weight, rest + word);
      }
      M::template store_weights<kSplit>(weights + word, weight);
    }
    Vec total = M::load(panel.sum + i * M::kLanes);
    FLASH_MLA_UNROLL for (int k = 0; k < kTake; ++k) total = M::add(total, sum[k]);
    M::store(panel.sum + i * M::kLanes, total);
  }
}

/// Turns the scores of `count` keys into weights 2^(scale * score - shift), as words for the value product, and adds
/// them to the sums. The scale is not 0.
template <class M, int kSplit>
void softmax_tile(Panel& panel, Outstanding<M>& outstanding, float scale_log2, float* scores, const float* raw_max,
                  int count, uint32_t* weights, uint32_t* rest, float* output, int blocks, int width) {
  constexpr int kVecs = kPanelRows / M::kLanes;
  using Vec = typename M::Vec;
  const Vec scale = M::set(scale_log2);
  alignas(64) float tile_max[kPanelRows];
  bool raise = !panel.touched;
  for (int i = 0; i < kVecs; ++i) {
    const Vec max = M::mul(M::load(raw_max + i * M::kLanes), scale);
    M::store(tile_max + i * M::kLanes, max);
    raise |= M::any_greater(max, M::add(M::load(panel.max + i * M::kLanes), M::set(kStaleMax)));
  }
  if (raise) {
    outstanding.add(panel, output, blocks);
    raise_max<M>(panel, tile_max, output, blocks, width);
  }

  if (kSplit == 1 && count % M::kDepth != 0) {
    for (int row = 0; row < kPanelRows; ++row) scores[count * kPanelRows + row] = -__builtin_inff();
  }
  weigh<M, kSplit>(panel, scale_log2, scores, count, weights, rest);
}

}  // namespace
}  // namespace flash_mla::cpu
