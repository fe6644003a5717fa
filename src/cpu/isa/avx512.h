// AVX-512 F, BW, DQ and VL: 16 floats.
#pragma once

#include <immintrin.h>

#include "cpu/isa/common.h"

namespace flash_mla::cpu {
namespace {

struct Avx512 {
  using Vec = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kQkKeys = 8;
  static constexpr int kPvRows = 8;
  static constexpr int kPvVecs = 2;
  static constexpr int kPvFewRows = 4;
  static constexpr int kMaxSplit = 4;
  static constexpr bool kTransposes = true;

  FLASH_MLA_INLINE Vec zero() { return _mm512_setzero_ps(); }
  FLASH_MLA_INLINE Vec set(float x) { return _mm512_set1_ps(x); }
  FLASH_MLA_INLINE Vec load(const float* p) { return _mm512_loadu_ps(p); }
  FLASH_MLA_INLINE void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
  FLASH_MLA_INLINE Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  FLASH_MLA_INLINE Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
  FLASH_MLA_INLINE Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  FLASH_MLA_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
  FLASH_MLA_INLINE Vec max_number(Vec a, Vec b) { return _mm512_max_ps(a, b); }  // b where either is NaN
  FLASH_MLA_INLINE Vec min_number(Vec a, Vec b) { return _mm512_min_ps(a, b); }
  FLASH_MLA_INLINE bool any_greater(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }

  FLASH_MLA_INLINE Vec exp2(Vec x) {
    // max and min return their second operand where one is NaN, so NaN passes. vscalefps reaches 0 and infinity by
    // itself.
    x = _mm512_max_ps(_mm512_set1_ps(-160.0f), x);
    x = _mm512_min_ps(_mm512_set1_ps(kExp2Highest), x);
    const Vec whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Vec r = _mm512_sub_ps(x, whole);
    Vec p = _mm512_set1_ps(kExp2[kExp2Terms - 1]);
    FLASH_MLA_UNROLL for (int i = kExp2Terms - 2; i >= 0; --i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2[i]));
    return _mm512_scalef_ps(_mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f)), whole);
  }

  /// kWords words of memory, over and over. 64 bits at a time cost no more than 32; 128 bits are slower.
  template <int kWords>
  FLASH_MLA_INLINE __m512i broadcast_words(const void* p) {
    if constexpr (kWords == 1) {
      int word;
      memcpy(&word, p, 4);
      return _mm512_set1_epi32(word);
    } else if constexpr (kWords == 2) {
      long long words;
      memcpy(&words, p, 8);
      return _mm512_set1_epi64(words);
    } else {
      return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)));
    }
  }

  /// Words [0, 16) of 16 rows: word w of row r to to[w * 16 + r].
  FLASH_MLA_INLINE void transpose(const uint32_t* const (&rows)[16], int64_t word, uint32_t flip, uint32_t* to) {
    const __m512i signs = _mm512_set1_epi32(static_cast<int>(flip));
    __m512i a[16], b[16];
    FLASH_MLA_UNROLL for (int r = 0; r < 16; ++r) a[r] = _mm512_xor_si512(_mm512_loadu_si512(rows[r] + word), signs);
    FLASH_MLA_UNROLL for (int r = 0; r < 16; r += 2) {
      b[r] = _mm512_unpacklo_epi32(a[r], a[r + 1]);
      b[r + 1] = _mm512_unpackhi_epi32(a[r], a[r + 1]);
    }
    // a[4i + j] now holds, in each 128-bit lane l, word 4l + j of rows 4i to 4i + 3.
    FLASH_MLA_UNROLL for (int r = 0; r < 16; r += 4) {
      a[r] = _mm512_unpacklo_epi64(b[r], b[r + 2]);
      a[r + 1] = _mm512_unpackhi_epi64(b[r], b[r + 2]);
      a[r + 2] = _mm512_unpacklo_epi64(b[r + 1], b[r + 3]);
      a[r + 3] = _mm512_unpackhi_epi64(b[r + 1], b[r + 3]);
    }
    FLASH_MLA_UNROLL for (int j = 0; j < 4; ++j) {
      const __m512i low = _mm512_shuffle_i32x4(a[j], a[4 + j], 0x88),
                    high = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0x88);
      const __m512i low_odd = _mm512_shuffle_i32x4(a[j], a[4 + j], 0xdd);
      const __m512i high_odd = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0xdd);
      _mm512_storeu_si512(to + j * 16, _mm512_shuffle_i32x4(low, high, 0x88));
      _mm512_storeu_si512(to + (4 + j) * 16, _mm512_shuffle_i32x4(low_odd, high_odd, 0x88));
      _mm512_storeu_si512(to + (8 + j) * 16, _mm512_shuffle_i32x4(low, high, 0xdd));
      _mm512_storeu_si512(to + (12 + j) * 16, _mm512_shuffle_i32x4(low_odd, high_odd, 0xdd));
    }
  }

  FLASH_MLA_INLINE Vec as_floats(__m512i words) { return _mm512_castsi512_ps(words); }

  /// Sums of lanes 2r and 2r + 1: of a in lane r, of b in lane 8 + r.
  FLASH_MLA_INLINE Vec fold_pairs(Vec a, Vec b) {
    const Vec sum = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return _mm512_castpd_ps(_mm512_permutexvar_pd(order, _mm512_castps_pd(sum)));
  }
  /// Sums of lanes 4r to 4r + 3: of a in lane r, of b in lane 4 + r, of c in lane 8 + r, of d in lane 12 + r.
  FLASH_MLA_INLINE Vec fold_quads(Vec a, Vec b, Vec c, Vec d) {
    const Vec ab = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
    const Vec cd = _mm512_add_ps(_mm512_shuffle_ps(c, d, 0x88), _mm512_shuffle_ps(c, d, 0xdd));
    const Vec sum = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x88), _mm512_shuffle_ps(ab, cd, 0xdd));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_ps(order, sum);
  }

  FLASH_MLA_INLINE Vec from_bfloat16(const uint16_t* p) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  FLASH_MLA_INLINE Vec from_float16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  FLASH_MLA_INLINE void to_bfloat16(uint16_t* p, Vec x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x00400000));
    const __m512i chosen = _mm512_srli_epi32(_mm512_mask_blend_epi32(nan, rounded, quiet), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(chosen));
  }
  FLASH_MLA_INLINE void to_float16(uint16_t* p, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

}  // namespace
}  // namespace flash_mla::cpu
