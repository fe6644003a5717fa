// Arithmetic that C++ has no word for.
#pragma once

#include <stdint.h>

#include "sm90/params.h"

namespace flash_mla::ptx {

/// 2^x, to 2^-22 relative; 0 for -inf.
__device__ __forceinline__ float exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
/// Base 2, to 2^-22 (absolute below 2, else relative); -inf for 0.
__device__ __forceinline__ float log2(float x) {
  float result;
  asm("lg2.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// To 2^-23 relative, for what is no denormal number.
__device__ __forceinline__ float reciprocal(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// Rounds to two elements of 16 bits, `low` in the low half.
template <sm90::Element kElement>
__device__ __forceinline__ uint32_t packed(float low, float high) {
  uint32_t result;
  if constexpr (kElement == sm90::Element::bfloat16) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  }
  return result;
}

}  // namespace flash_mla::ptx
