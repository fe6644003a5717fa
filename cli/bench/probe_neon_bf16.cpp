// BF16 dot products on 128-bit registers.
#include "probe.h"

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#include <arm_neon.h>
#endif

namespace flash_mla::cli {

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
namespace {

constexpr int kChains = 24;

void run(int64_t iterations) {
  float32x4_t sum[kChains];
  for (auto& chain : sum) chain = vdupq_n_f32(0);
  const uint16x8_t ones = vdupq_n_u16(0x3f80);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) asm volatile("bfdot %0.4s, %1.8h, %1.8h" : "+w"(sum[c]) : "w"(ones));
  }
}

}  // namespace

PeakProbe probe_neon_bf16() { return {run, kChains * 4.0 * 4, "bfdot v.4s"}; }
#else
PeakProbe probe_neon_bf16() { return {}; }
#endif

}  // namespace flash_mla::cli
