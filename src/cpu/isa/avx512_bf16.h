// AVX512_BF16: VDPBF16PS multiplies 32 bfloat16 pairs-wise into 16 floats. Products are exact, sums round to float32;
// subnormal inputs count as 0.
#pragma once

#include "cpu/isa/avx512.h"
#include "cpu/kernel.h"

namespace flash_mla::cpu {
namespace {

struct Avx512Bf16Math : Avx512 {
  using Stored = uint16_t;
  using Operand = __m512bh;
  static constexpr int kDepth = 2;

  FLASH_MLA_INLINE Operand load_operand(const uint32_t* words) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(words));
  }
  template <int kWords>
  FLASH_MLA_INLINE Operand broadcast(const void* words) {
    return reinterpret_cast<__m512bh>(broadcast_words<kWords>(words));
  }
  FLASH_MLA_INLINE Vec dot(Vec sum, Operand a, Operand b) { return _mm512_dpbf16_ps(sum, a, b); }

  /// Columns of keys 2 * step and 2 * step + 1 as pairs. The unpacks work within 128-bit lanes, so the columns of each
  /// group of 32 come in another order, the same for every step: restore_order undoes it once, at the end. They are
  /// free next to VDPBF16PS, which a full permute is not.
  FLASH_MLA_INLINE void load_values(Operand (&values)[kPvVecs], const uint16_t* const* rows, int step, int64_t column) {
    const uint16_t* even = rows[2 * step] + column;
    const uint16_t* odd = rows[2 * step + 1] + column;
    FLASH_MLA_UNROLL for (int i = 0; i < kPvVecs / 2; ++i) {
      const __m512i e = _mm512_loadu_si512(even + i * 32);
      const __m512i o = _mm512_loadu_si512(odd + i * 32);
      values[2 * i] = reinterpret_cast<__m512bh>(_mm512_unpacklo_epi16(e, o));
      values[2 * i + 1] = reinterpret_cast<__m512bh>(_mm512_unpackhi_epi16(e, o));
    }
  }
  /// One row's columns as floats, in the same order.
  FLASH_MLA_INLINE void widen_values(Vec (&columns)[kPvVecs], const uint16_t* row) {
    FLASH_MLA_UNROLL for (int i = 0; i < kPvVecs / 2; ++i) {
      const __m512i x = _mm512_loadu_si512(row + i * 32);
      columns[2 * i] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(_mm512_setzero_si512(), x));
      columns[2 * i + 1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(_mm512_setzero_si512(), x));
    }
  }
  FLASH_MLA_INLINE void restore_order(Vec (&block)[kPvVecs]) {
    const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i high = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    FLASH_MLA_UNROLL for (int i = 0; i < kPvVecs; i += 2) {
      const Vec a = block[i], b = block[i + 1];
      block[i] = _mm512_permutex2var_ps(a, low, b);
      block[i + 1] = _mm512_permutex2var_ps(a, high, b);
    }
  }
  FLASH_MLA_INLINE Vec cut_off(Vec weight) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(weight), _mm512_set1_epi32(-0x10000)));
  }
  template <int kSplit>
  FLASH_MLA_INLINE void store_weights(uint32_t* words, const Vec (&weights)[2]) {
    const __m512i even = _mm512_srli_epi32(rounded(weights[0]), 16);
    const __m512i high = _mm512_set1_epi32(-0x10000);
    _mm512_storeu_si512(words,
                        _mm512_ternarylogic_epi32(even, rounded(weights[1]), high, 0xF8));  // even | (odd & high)
  }
  /// One vector holds the weights of kSplit keys; each pair of them makes 16 / kSplit words.
  template <int kSplit>
  FLASH_MLA_INLINE void store_weights(uint32_t* words, const Vec (&weights)[1]) {
    const __m512i x = rounded(weights[0]);
    if constexpr (kSplit == 2) {
      const __m256i even = _mm256_srli_epi32(_mm512_castsi512_si256(x), 16);
      const __m256i odd = _mm512_extracti64x4_epi64(x, 1);
      const __m256i high = _mm256_set1_epi32(-0x10000);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), _mm256_ternarylogic_epi32(even, odd, high, 0xF8));
    } else {
      const __m512i odd = _mm512_shuffle_i64x2(x, x, 0xf5);  // parts 1, 1, 3, 3
      const __m512i high = _mm512_set1_epi32(-0x10000);
      const __m512i pairs = _mm512_ternarylogic_epi32(_mm512_srli_epi32(x, 16), odd, high, 0xF8);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words), _mm512_castsi512_si128(pairs));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words + kPanelRows), _mm512_extracti32x4_epi32(pairs, 2));
    }
  }

 private:
  /// Rounded half up in the upper 16 bits.
  FLASH_MLA_INLINE __m512i rounded(Vec weight) {
    return _mm512_add_epi32(_mm512_castps_si512(weight), _mm512_set1_epi32(0x8000));
  }
};

}  // namespace
}  // namespace flash_mla::cpu
