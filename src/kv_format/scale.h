// Scales of quantised groups.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace flash_mla::kv_format {

inline constexpr float kLeastAmax = 1e-4f;           // FlashMLA's clamp: groups of tiny values share a scale
inline constexpr float kLargestScaled = 0x1.ep127f;  // what is nearer to 2^128 would come back as infinity
inline constexpr float kInt8Largest = 127;

/// The smallest power of two with max(largest, 1e-4) <= 448 * scale. `largest` is finite.
inline float power_of_two_scale(float largest) {
  int exponent = 0;
  const float mantissa = std::frexp(std::max(largest, kLeastAmax), &exponent);  // of [0.5, 1)
  return std::ldexp(1.0f, exponent - (mantissa <= 0.875f ? 9 : 8));             // 448 = 0.875 * 2^9
}

/// largest / 127, but 0 for 0, never subnormal otherwise (its relative error would be large), and such that 127 * scale
/// is finite.
inline float int8_scale(float largest) {
  if (largest == 0) return 0;
  const float scale = std::max(largest / kInt8Largest, std::numeric_limits<float>::min());
  return std::isinf(scale * kInt8Largest) ? std::nextafter(scale, 0.0f) : scale;
}

}  // namespace flash_mla::kv_format
