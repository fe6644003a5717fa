// Advanced SIMD of every AArch64 processor: 4 floats.
#pragma once

#include <arm_neon.h>

#include "cpu/isa/common.h"

namespace flash_mla::cpu {
namespace {

struct Neon {
  using Vec = float32x4_t;
  static constexpr int kLanes = 4;
  static constexpr int kQkKeys = 6;  // 24 accumulators and 4 query vectors in 32 registers
  static constexpr int kPvRows = 6;
  static constexpr int kPvVecs = 4;
  static constexpr int kPvFewRows = 0;
  static constexpr int kMaxSplit = 1;
  static constexpr bool kTransposes = false;

  FLASH_MLA_INLINE Vec zero() { return vdupq_n_f32(0); }
  FLASH_MLA_INLINE Vec set(float x) { return vdupq_n_f32(x); }
  FLASH_MLA_INLINE Vec load(const float* p) { return vld1q_f32(p); }
  FLASH_MLA_INLINE void store(float* p, Vec x) { vst1q_f32(p, x); }
  FLASH_MLA_INLINE Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
  FLASH_MLA_INLINE Vec sub(Vec a, Vec b) { return vsubq_f32(a, b); }
  FLASH_MLA_INLINE Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
  FLASH_MLA_INLINE Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
  FLASH_MLA_INLINE Vec max_number(Vec a, Vec b) { return vmaxnmq_f32(a, b); }
  FLASH_MLA_INLINE bool any_greater(Vec a, Vec b) { return vmaxvq_u32(vcgtq_f32(a, b)) != 0; }

  FLASH_MLA_INLINE Vec exp2(Vec x) {
    const uint32x4_t flushed = vcltq_f32(x, vdupq_n_f32(kExp2Lowest));
    x = vmaxq_f32(vdupq_n_f32(kExp2Lowest), x);  // FMAX and FMIN return NaN where one is NaN
    x = vminq_f32(vdupq_n_f32(kExp2Highest), x);
    const Vec whole = vrndnq_f32(x);
    const Vec r = vsubq_f32(x, whole);
    Vec p = vdupq_n_f32(kExp2[kExp2Terms - 1]);
    FLASH_MLA_UNROLL for (int i = kExp2Terms - 2; i >= 0; --i) p = vfmaq_f32(vdupq_n_f32(kExp2[i]), p, r);
    const int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(whole), vdupq_n_s32(127)), 23);
    p = vmulq_f32(vfmaq_f32(vdupq_n_f32(1.0f), p, r), vreinterpretq_f32_s32(exponent));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), flushed));
  }

  FLASH_MLA_INLINE Vec from_bfloat16(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
  FLASH_MLA_INLINE Vec from_float16(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  FLASH_MLA_INLINE void to_bfloat16(uint16_t* p, Vec x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x00400000));
    vst1_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16));
  }
  FLASH_MLA_INLINE void to_float16(uint16_t* p, Vec x) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
};

}  // namespace
}  // namespace flash_mla::cpu
