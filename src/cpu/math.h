// How keys, values and weights take part in the dot products, on top of an instruction set's floats.
//
// Both forms deal in 32-bit words: a float, or two bfloat16 that one instruction multiplies and adds. kDepth says how
// many elements a word holds. A bfloat16 form (isa/*_bf16.h) provides the same members as Float32Math.
#pragma once

#include "cpu/isa/common.h"

namespace flash_mla::cpu {
namespace {

/// Everything in float32: queries and keys are converted, products are fused multiply-adds.
template <class Isa>
struct Float32Math : Isa {
  using typename Isa::Vec;
  using Stored = float;  // element of a tile's key and value rows
  using Operand = Vec;   // what one dot instruction takes
  static constexpr int kDepth = 1;
  static constexpr const auto& kExp2 = kExp2Fine;

  FLASH_MLA_INLINE Operand load_operand(const uint32_t* words) {
    return Isa::load(reinterpret_cast<const float*>(words));
  }
  FLASH_MLA_INLINE Operand broadcast(const void* word) {
    float x;
    memcpy(&x, word, 4);
    return Isa::set(x);
  }
  FLASH_MLA_INLINE Vec dot(Vec sum, Operand a, Operand b) { return Isa::fma(a, b, sum); }

  /// kPvVecs vectors of columns of key `step`'s value row.
  FLASH_MLA_INLINE void load_values(Operand (&values)[Isa::kPvVecs], const float* const* rows, int step, int column) {
    FLASH_MLA_UNROLL for (int i = 0; i < Isa::kPvVecs; ++i) values[i] =
        Isa::load(rows[step] + column + i * Isa::kLanes);
  }
  FLASH_MLA_INLINE void store_weights(uint32_t* words, const Vec (&weights)[1]) {
    Isa::store(reinterpret_cast<float*>(words), weights[0]);
  }
  /// Columns of an output block come out in memory order.
  FLASH_MLA_INLINE void restore_order(Vec (&)[Isa::kPvVecs]) {}
};

}  // namespace
}  // namespace flash_mla::cpu
