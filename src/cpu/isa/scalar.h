// One float at a time, in standard C++: runs everywhere, and shows what the vector files have to provide.
#pragma once

#include "cpu/isa/common.h"

namespace flash_mla::cpu {
namespace {

struct Scalar {
  using Vec = float;
  static constexpr int kLanes = 1;
  static constexpr int kQkKeys = 2;   // keys a QK block: kQkKeys * 16 / kLanes accumulators
  static constexpr int kPvRows = 4;   // rows a PV block ...
  static constexpr int kPvVecs = 16;  // ... by vectors of columns
  static constexpr int kPvFewRows = 0;
  static constexpr int kMaxSplit = 1;
  static constexpr bool kTransposes = false;

  FLASH_MLA_INLINE Vec zero() { return 0; }
  FLASH_MLA_INLINE Vec set(float x) { return x; }
  FLASH_MLA_INLINE Vec load(const float* p) { return *p; }
  FLASH_MLA_INLINE void store(float* p, Vec x) { *p = x; }
  FLASH_MLA_INLINE Vec add(Vec a, Vec b) { return a + b; }
  FLASH_MLA_INLINE Vec sub(Vec a, Vec b) { return a - b; }
  FLASH_MLA_INLINE Vec mul(Vec a, Vec b) { return a * b; }
  FLASH_MLA_INLINE Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
  /// The larger; `b` where a is NaN.
  FLASH_MLA_INLINE Vec max_number(Vec a, Vec b) { return a > b ? a : b; }
  FLASH_MLA_INLINE bool any_greater(Vec a, Vec b) { return a > b; }

  FLASH_MLA_INLINE Vec exp2(Vec x) {
    if (x < kExp2Lowest) return 0;
    if (x > kExp2Highest) x = kExp2Highest;
    if (x != x) return x;
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    const float whole = (x + magic) - magic;
    const float r = x - whole;
    float p = kExp2[kExp2Terms - 1];
    FLASH_MLA_UNROLL for (int i = kExp2Terms - 2; i >= 0; --i) p = p * r + kExp2[i];
    return (p * r + 1.0f) * bits_to_float(static_cast<uint32_t>(static_cast<int>(whole) + 127) << 23);
  }

  FLASH_MLA_INLINE Vec from_bfloat16(const uint16_t* p) { return bits_to_float(static_cast<uint32_t>(*p) << 16); }
  FLASH_MLA_INLINE Vec from_float16(const uint16_t* p) {
    const uint32_t sign = static_cast<uint32_t>(*p & 0x8000u) << 16;
    const uint32_t magnitude = *p & 0x7fffu;
    if (magnitude >= 0x7c00u) return bits_to_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    return bits_to_float(sign | float_to_bits(bits_to_float(magnitude << 13) * 0x1p112f));
  }
  FLASH_MLA_INLINE void to_bfloat16(uint16_t* p, Vec x) {
    const uint32_t bits = float_to_bits(x);
    *p = static_cast<uint16_t>(x != x ? (bits >> 16) | 0x0040u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  }
  FLASH_MLA_INLINE void to_float16(uint16_t* p, Vec x) {
    const uint32_t bits = float_to_bits(x);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    const uint32_t rebased = magnitude - 0x38000000u;
    uint32_t half = (rebased + 0x0fffu + ((rebased >> 13) & 1u)) >> 13;
    if (magnitude < 0x38800000u) half = float_to_bits(bits_to_float(magnitude) + 0.5f) - 0x3f000000u;  // subnormal
    if (magnitude >= 0x477ff000u) half = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
    *p = static_cast<uint16_t>(sign | half);
  }
};

}  // namespace
}  // namespace flash_mla::cpu
