// Shared by all instruction sets. Everything in an anonymous namespace: see kernel.h.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FLASH_MLA_INLINE static inline __attribute__((always_inline))
// For functions with inner loops that need all registers: inlined, they would share them with the caller.
#define FLASH_MLA_NOINLINE __attribute__((noinline))
#define FLASH_MLA_UNROLL _Pragma("GCC unroll 32")

namespace flash_mla::cpu {
namespace {

// 2^r on [-0.5, 0.5] as 1 + r * P(r), least relative error with P(0) free: 9.1e-8. One coefficient less would be enough
// for weights that are rounded to bfloat16, but not for their sum: its 2.8e-6 is more than an lse near 0 may be off.
// The constant is exactly 1, so that a lone key has weight 1.
inline constexpr float kExp2[] = {0.693147f, 0.24022242f, 0.055507336f, 0.009671513f, 0.0013264727f};
inline constexpr int kExp2Terms = sizeof(kExp2) / sizeof(kExp2[0]);

// exp2 flushes to exactly 0 below and to infinity above.
inline constexpr float kExp2Lowest = -126.0f;
inline constexpr float kExp2Highest = 128.0f;

FLASH_MLA_INLINE float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

FLASH_MLA_INLINE uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

/// A weight as the bfloat16 forms store it: rounded half up, with integer operations, which leave the floating-point
/// ports to the dot products.
FLASH_MLA_INLINE float round_weight(float weight) {
  return bits_to_float((float_to_bits(weight) + 0x8000u) & 0xffff0000u);
}

FLASH_MLA_INLINE bool is_finite(float x) {
  return x - x == 0;
}

FLASH_MLA_INLINE int64_t minimum(int64_t a, int64_t b) {
  return a < b ? a : b;
}
FLASH_MLA_INLINE int64_t maximum(int64_t a, int64_t b) {
  return a > b ? a : b;
}

}  // namespace
}  // namespace flash_mla::cpu
