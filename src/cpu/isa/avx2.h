// AVX2, FMA and F16C: 8 floats.
#pragma once

#include <immintrin.h>

#include "cpu/isa/common.h"

namespace flash_mla::cpu {
namespace {

struct Avx2 {
  using Vec = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kQkKeys = 6;  // 12 accumulators, 2 query vectors and a broadcast in 16 registers
  static constexpr int kPvRows = 6;
  static constexpr int kPvVecs = 2;
  static constexpr int kPvFewRows = 0;
  static constexpr int kMaxSplit = 1;
  static constexpr bool kTransposes = false;

  FLASH_MLA_INLINE Vec zero() { return _mm256_setzero_ps(); }
  FLASH_MLA_INLINE Vec set(float x) { return _mm256_set1_ps(x); }
  FLASH_MLA_INLINE Vec load(const float* p) { return _mm256_loadu_ps(p); }
  FLASH_MLA_INLINE void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
  FLASH_MLA_INLINE Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  FLASH_MLA_INLINE Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
  FLASH_MLA_INLINE Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  FLASH_MLA_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  FLASH_MLA_INLINE Vec max_number(Vec a, Vec b) { return _mm256_max_ps(a, b); }  // b where either is NaN
  FLASH_MLA_INLINE bool any_greater(Vec a, Vec b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0; }

  FLASH_MLA_INLINE Vec exp2(Vec x) {
    const Vec flushed = _mm256_cmp_ps(x, _mm256_set1_ps(kExp2Lowest), _CMP_LT_OQ);
    // max and min return their second operand where one is NaN, so NaN passes.
    x = _mm256_max_ps(_mm256_set1_ps(kExp2Lowest), x);
    x = _mm256_min_ps(_mm256_set1_ps(kExp2Highest), x);
    const Vec whole = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Vec r = _mm256_sub_ps(x, whole);
    Vec p = _mm256_set1_ps(kExp2[kExp2Terms - 1]);
    FLASH_MLA_UNROLL for (int i = kExp2Terms - 2; i >= 0; --i) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp2[i]));
    const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127)), 23);
    p = _mm256_mul_ps(_mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f)), _mm256_castsi256_ps(exponent));
    return _mm256_andnot_ps(flushed, p);
  }

  FLASH_MLA_INLINE Vec from_bfloat16(const uint16_t* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  FLASH_MLA_INLINE Vec from_float16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  FLASH_MLA_INLINE void to_bfloat16(uint16_t* p, Vec x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
    const __m256i chosen = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(chosen, chosen), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
  }
  FLASH_MLA_INLINE void to_float16(uint16_t* p, Vec x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

}  // namespace
}  // namespace flash_mla::cpu
