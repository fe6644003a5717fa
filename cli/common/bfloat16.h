// bfloat16 as its 16 bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace flash_mla::cli {

/// Rounds to nearest even; NaN stays NaN.
inline uint16_t to_bfloat16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float from_bfloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

}  // namespace flash_mla::cli
