// The 8-bit float e4m3 (OCP 8-bit Floating Point Specification, 2023): a sign, 4 bits of exponent with bias 7, 3 of
// fraction. No infinity; S.1111.111 is NaN; the largest value is 448, the smallest 2^-9.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace flash_mla::kv_format {

inline constexpr float kE4m3Largest = 448;
inline constexpr uint8_t kE4m3LargestCode = 0x7e;
inline constexpr uint8_t kE4m3NaN = 0x7f;

inline float e4m3_to_float(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80u) << 24;
  const uint32_t magnitude = code & 0x7fu;
  if (magnitude == kE4m3NaN) return std::bit_cast<float>(sign | 0x7fc00000u);
  // Scaling by 2^120 rebiases the exponent and makes subnormals exact at the same time.
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 20) * 0x1p120f));
}

/// Rounds to nearest even; finite values saturate at +-448; infinity and NaN become NaN.
inline uint8_t float_to_e4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint8_t>((bits >> 24) & 0x80u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x7f800000u) return sign | kE4m3NaN;
  if (magnitude >= std::bit_cast<uint32_t>(kE4m3Largest)) return sign | kE4m3LargestCode;
  if (magnitude < std::bit_cast<uint32_t>(0x1p-6f)) {
    // Subnormal: adding 2^14 leaves multiples of 2^-9 in the low mantissa bits, rounded by the adder.
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14f;
    return sign | static_cast<uint8_t>(std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0x1p14f));
  }
  const uint32_t rebased = magnitude - (120u << 23);
  return sign | static_cast<uint8_t>((rebased + 0x7ffffu + ((rebased >> 20) & 1u)) >> 20);
}

}  // namespace flash_mla::kv_format
