// FEAT_BF16: BFDOT multiplies 8 bfloat16 pairs-wise into 4 floats.
#pragma once

#include "cpu/isa/neon.h"

namespace flash_mla::cpu {
namespace {

struct NeonBf16Math : Neon {
  using Stored = uint16_t;
  using Operand = bfloat16x8_t;
  static constexpr int kDepth = 2;

  FLASH_MLA_INLINE Operand load_operand(const uint32_t* words) { return vreinterpretq_bf16_u32(vld1q_u32(words)); }
  template <int>
  FLASH_MLA_INLINE Operand broadcast(const void* word) {
    uint32_t pair;
    memcpy(&pair, word, 4);
    return vreinterpretq_bf16_u32(vdupq_n_u32(pair));
  }
  FLASH_MLA_INLINE Vec dot(Vec sum, Operand a, Operand b) { return vbfdotq_f32(sum, a, b); }

  FLASH_MLA_INLINE void load_values(Operand (&values)[kPvVecs], const uint16_t* const* rows, int step, int64_t column) {
    const uint16_t* even = rows[2 * step] + column;
    const uint16_t* odd = rows[2 * step + 1] + column;
    FLASH_MLA_UNROLL for (int i = 0; i < kPvVecs / 2; ++i) {
      const uint16x8_t e = vld1q_u16(even + i * 8);
      const uint16x8_t o = vld1q_u16(odd + i * 8);
      values[2 * i] = vreinterpretq_bf16_u16(vzip1q_u16(e, o));
      values[2 * i + 1] = vreinterpretq_bf16_u16(vzip2q_u16(e, o));
    }
  }
  FLASH_MLA_INLINE void widen_values(Vec (&columns)[kPvVecs], const uint16_t* row) {
    FLASH_MLA_UNROLL for (int i = 0; i < kPvVecs; ++i) columns[i] = from_bfloat16(row + i * kLanes);
  }
  FLASH_MLA_INLINE void restore_order(Vec (&)[kPvVecs]) {}
  FLASH_MLA_INLINE Vec cut_off(Vec weight) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(weight), vdupq_n_u32(0xffff0000)));
  }
  FLASH_MLA_INLINE Vec min_number(Vec a, Vec b) { return vminnmq_f32(a, b); }
  template <int>
  FLASH_MLA_INLINE void store_weights(uint32_t* words, const Vec (&weights)[2]) {
    const uint32x4_t half = vdupq_n_u32(0x8000);
    const uint32x4_t even = vshrq_n_u32(vaddq_u32(vreinterpretq_u32_f32(weights[0]), half), 16);
    const uint32x4_t odd = vaddq_u32(vreinterpretq_u32_f32(weights[1]), half);
    vst1q_u32(words, vsliq_n_u32(even, vshrq_n_u32(odd, 16), 16));
  }
};

}  // namespace
}  // namespace flash_mla::cpu
