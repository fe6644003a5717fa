// How keys, values and weights take part in the dot products, on top of an instruction set's floats.
//
// Both forms deal in 32-bit words: a float, or two bfloat16 that one instruction multiplies and adds. kDepth says how
// many elements a word holds. A bfloat16 form (isa/*_bf16.h) provides the same members as Float32Math.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"

namespace flash_mla::cpu {
namespace {

/// Everything in float32: queries and keys are converted, products are fused multiply-adds.
template <class Isa>
struct Float32Math : Isa {
  using typename Isa::Vec;
  using Stored = float;  // element of a tile's key and value rows
  using Operand = Vec;   // what one dot instruction takes
  static constexpr int kDepth = 1;

  FLASH_MLA_INLINE Operand load_operand(const uint32_t* words) {
    return Isa::load(reinterpret_cast<const float*>(words));
  }
  /// kWords words of memory, over and over.
  template <int kWords>
  FLASH_MLA_INLINE Operand broadcast(const void* words) {
    if constexpr (kWords == 1) {
      float x;
      memcpy(&x, words, 4);
      return Isa::set(x);
    } else {
      return Isa::as_floats(Isa::template broadcast_words<kWords>(words));
    }
  }
  FLASH_MLA_INLINE Vec dot(Vec sum, Operand a, Operand b) { return Isa::fma(a, b, sum); }

  /// kPvVecs vectors of columns of key `step`'s value row.
  FLASH_MLA_INLINE void load_values(Operand (&values)[Isa::kPvVecs], const float* const* rows, int step,
                                    int64_t column) {
    FLASH_MLA_UNROLL for (int i = 0; i < Isa::kPvVecs; ++i) values[i] =
        Isa::load(rows[step] + column + i * Isa::kLanes);
  }
  /// One vector holds the weights of kSplit keys.
  template <int kSplit>
  FLASH_MLA_INLINE void store_weights(uint32_t* words, const Vec (&weights)[1]) {
    if constexpr (kSplit == 1) {
      Isa::store(reinterpret_cast<float*>(words), weights[0]);
    } else {
      alignas(64) float lanes[kPanelRows];
      Isa::store(lanes, weights[0]);
      for (int part = 0; part < kSplit; ++part) {
        memcpy(words + part * kPanelRows, lanes + part * (kPanelRows / kSplit), 4 * kPanelRows / kSplit);
      }
    }
  }
  /// Columns of an output block come out in memory order.
  FLASH_MLA_INLINE void restore_order(Vec (&)[Isa::kPvVecs]) {}
};

}  // namespace
}  // namespace flash_mla::cpu
