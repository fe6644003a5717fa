// Formats of small numbers and the rounding into them.
#pragma once

#include <bit>
#include <cstdint>

namespace emulator::machine {

enum class Rounding : uint8_t { nearest, zero, down, up };

struct Format {
  int mantissa;      // stored bits
  int min_exponent;  // of the smallest normal number
  int max_exponent;
};
constexpr Format kHalf{10, -14, 15};
constexpr Format kBfloat16{7, -126, 127};
constexpr Format kSingle{23, -126, 127};

/// The bits of a finite or infinite number in a format of 16 or 32 bits, rounded once. Overflow gives what the rounding
/// says.
uint32_t encode(double value, const Format& format, Rounding rounding);

/// a + b and a * b + c with the last bit set where bits were lost: rounding that once more to at most 50 bits is right.
double add_to_odd(double a, double b);
double fma_to_odd(double a, double b, double c);

inline float bfloat16_to_float(uint32_t bits) {
  return std::bit_cast<float>(bits << 16);
}

inline float half_to_float(uint32_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Scaling by 2^112 rebiases the exponent and makes subnormals exact at the same time.
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112f));
}

/// To nearest even; NaN becomes 0x7fff.
inline uint32_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded;
}

/// To nearest even; NaN becomes 0x7fff.
inline uint32_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fffu;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds past 65504
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 leaves the result in the low mantissa bits, rounded by the adder.
    return sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u);
  }
  const uint32_t rebased = magnitude - 0x38000000u;
  return sign | ((rebased + 0x0fffu + ((rebased >> 13) & 1u)) >> 13);
}

/// Subnormal numbers become zeros of their sign (.ftz).
inline float flush(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return (bits & 0x7f800000u) == 0 ? std::bit_cast<float>(bits & 0x80000000u) : value;
}

}  // namespace emulator::machine
