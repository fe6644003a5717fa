// FP32 multiply-add on 256-bit registers.
#include "bench/probe.h"
#include "bench/probe_chains.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace flash_mla::cli {

#if defined(__AVX2__) && defined(__FMA__)
namespace {

constexpr int kChains = 14;  // of 16 registers; 2 a cycle at a latency of 4 or 5 needs 8 to 10

void run(int64_t iterations) {
  __m256 sum[kChains];
  for (auto& chain : sum) chain = _mm256_setzero_ps();
  const __m256 ones = _mm256_set1_ps(1.0F);
  const auto step = [ones](__m256 & chain) __attribute__((always_inline)) {
    asm volatile("vfmadd231ps %1, %1, %0" : "+x"(chain) : "x"(ones));
  };
  run_chains(sum, iterations, step, std::make_integer_sequence<int, kChains>());
}

}  // namespace

PeakProbe probe_avx2() {
  return {run, kRounds * kChains * 8.0 * 2, "vfmadd231ps ymm", 32};
}
#else
PeakProbe probe_avx2() {
  return {};
}
#endif

}  // namespace flash_mla::cli
