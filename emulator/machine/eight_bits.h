// The 8-bit floating-point formats (PTX ISA 9.0, section 5.2.3).
#pragma once

#include <cmath>
#include <cstdint>

#include "machine/number.h"

namespace emulator::machine {

/// e4m3: no infinities, 0x7f is NaN, the largest number is 448. e5m2: as IEEE 754 has it, the largest number is 57344.
inline uint32_t to_eight_bits(float value, bool e5m2) {
  const uint32_t sign = std::signbit(value) ? 0x80u : 0u;
  if (value != value) return 0x7fu;
  // .satfinite: what is above the largest number becomes that number.
  const float most = e5m2 ? 57344.0f : 448.0f;
  const float magnitude = std::fmin(std::fabs(value), most);
  return sign | encode(static_cast<double>(magnitude), e5m2 ? Format{2, -14, 15} : Format{3, -6, 8}, Rounding::nearest);
}

inline float from_eight_bits(uint32_t bits, bool e5m2) {
  if (e5m2) return half_to_float((bits & 0xffu) << 8);
  const uint32_t magnitude = bits & 0x7fu;
  const float sign = (bits & 0x80u) != 0 ? -1.0f : 1.0f;
  if (magnitude == 0x7f) return std::bit_cast<float>(0x7fffffffu);
  if (magnitude < 8) return sign * static_cast<float>(magnitude) * 0x1p-9f;
  return sign * std::ldexp(static_cast<float>(8 + (magnitude & 7)), static_cast<int>(magnitude >> 3) - 10);
}

}  // namespace emulator::machine
