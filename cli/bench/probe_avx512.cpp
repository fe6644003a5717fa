// FP32 multiply-add on 512-bit registers.
#include "bench/probe.h"
#include "bench/probe_chains.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace flash_mla::cli {

#if defined(__AVX512F__)
namespace {

constexpr int kChains = 24;

void run(int64_t iterations) {
  __m512 sum[kChains];
  for (auto& chain : sum) chain = _mm512_setzero_ps();
  const __m512 ones = _mm512_set1_ps(1.0F);
  const auto step = [ones](__m512 & chain) __attribute__((always_inline)) {
    asm volatile("vfmadd231ps %1, %1, %0" : "+v"(chain) : "v"(ones));
  };
  run_chains(sum, iterations, step, std::make_integer_sequence<int, kChains>());
}

}  // namespace

PeakProbe probe_avx512() {
  return {run, kRounds * kChains * 16.0 * 2, "vfmadd231ps zmm", 32};
}
#else
PeakProbe probe_avx512() {
  return {};
}
#endif

}  // namespace flash_mla::cli
