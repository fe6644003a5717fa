// FP32 multiply-add on 256-bit registers.
#include "probe.h"

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
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 14
    for (int c = 0; c < kChains; ++c) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(sum[c]) : "x"(ones));
  }
}

}  // namespace

PeakProbe probe_avx2() { return {run, kChains * 8.0 * 2, "vfmadd231ps ymm"}; }
#else
PeakProbe probe_avx2() { return {}; }
#endif

}  // namespace flash_mla::cli
