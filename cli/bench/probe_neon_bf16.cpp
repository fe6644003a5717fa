// BF16 dot products on 128-bit registers.
#include "bench/probe.h"
#include "bench/probe_chains.h"

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
  const auto step = [ones](float32x4_t & chain) __attribute__((always_inline)) {
    asm volatile("bfdot %0.4s, %1.8h, %1.8h" : "+w"(chain) : "w"(ones));
  };
  run_chains(sum, iterations, step, std::make_integer_sequence<int, kChains>());
}

}  // namespace

PeakProbe probe_neon_bf16() {
  return {run, kRounds * kChains * 4.0 * 4, "bfdot v.4s", 16};
}
#else
PeakProbe probe_neon_bf16() {
  return {};
}
#endif

}  // namespace flash_mla::cli
