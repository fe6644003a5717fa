// BF16 dot products on 512-bit registers.
#include "bench/probe.h"
#include "bench/probe_chains.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace flash_mla::cli {

#if defined(__AVX512BF16__)
namespace {

constexpr int kChains = 24;  // Zen 5 issues 2 a cycle at a latency of 6 or more

void run(int64_t iterations) {
  __m512 sum[kChains];
  for (auto& chain : sum) chain = _mm512_setzero_ps();
  const __m512i ones = _mm512_set1_epi32(0x3f803f80);
  const auto step = [ones](__m512 & chain) __attribute__((always_inline)) {
    asm volatile("vdpbf16ps %1, %1, %0" : "+v"(chain) : "v"(ones));
  };
  run_chains(sum, iterations, step, std::make_integer_sequence<int, kChains>());
}

}  // namespace

PeakProbe probe_avx512_bf16() {
  return {run, kRounds * kChains * 16.0 * 4, "vdpbf16ps zmm", 64};
}
#else
PeakProbe probe_avx512_bf16() {
  return {};
}
#endif

}  // namespace flash_mla::cli
