// AVX512_BF16: VDPBF16PS multiplies 32 bfloat16 pairs-wise into 16 floats. Products are exact, sums round to float32;
// subnormal inputs count as 0.
#pragma once

#include "cpu/isa/avx512.h"

namespace flash_mla::cpu {
namespace {

struct Avx512Bf16Math : Avx512 {
  using Stored = uint16_t;
  using Operand = __m512bh;
  static constexpr int kDepth = 2;
  static constexpr const auto& kExp2 = kExp2Coarse;

  FLASH_MLA_INLINE Operand load_operand(const uint32_t* words) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(words));
  }
  FLASH_MLA_INLINE Operand broadcast(const void* word) {
    int pair;
    memcpy(&pair, word, 4);
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
  }
  FLASH_MLA_INLINE Vec dot(Vec sum, Operand a, Operand b) { return _mm512_dpbf16_ps(sum, a, b); }

  /// Columns of keys 2 * step and 2 * step + 1 as pairs. The unpacks work within 128-bit lanes, so the columns of each
  /// group of 32 come in another order, the same for every step: restore_order undoes it once, at the end. They are
  /// free next to VDPBF16PS, which a full permute is not.
  FLASH_MLA_INLINE void load_values(Operand (&values)[kPvVecs], const uint16_t* const* rows, int step, int column) {
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
  FLASH_MLA_INLINE void store_weights(uint32_t* words, const Vec (&weights)[2]) {
    const __m512i half = _mm512_set1_epi32(0x8000);
    const __m512i even = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(weights[0]), half), 16);
    const __m512i odd = _mm512_add_epi32(_mm512_castps_si512(weights[1]), half);
    const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000));
    _mm512_storeu_si512(words, _mm512_ternarylogic_epi32(even, odd, high, 0xF8));  // even | (odd & high)
  }
};

}  // namespace
}  // namespace flash_mla::cpu
