// FP32 multiply-add on 128-bit registers.
#include "bench/probe.h"
#include "bench/probe_chains.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace flash_mla::cli {

#if defined(__aarch64__)
namespace {

constexpr int kChains = 24;  // 4 a cycle at a latency of 4 needs 16

void run(int64_t iterations) {
  float32x4_t sum[kChains];
  for (auto& chain : sum) chain = vdupq_n_f32(0);
  const float32x4_t ones = vdupq_n_f32(1);
  const auto step = [ones](float32x4_t & chain) __attribute__((always_inline)) {
    asm volatile("fmla %0.4s, %1.4s, %1.4s" : "+w"(chain) : "w"(ones));
  };
  run_chains(sum, iterations, step, std::make_integer_sequence<int, kChains>());
}

}  // namespace

PeakProbe probe_neon() {
  return {run, kRounds * kChains * 4.0 * 2, "fmla v.4s", 8};
}
#else
PeakProbe probe_neon() {
  return {};
}
#endif

}  // namespace flash_mla::cli
