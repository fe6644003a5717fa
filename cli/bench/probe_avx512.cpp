// FP32 multiply-add on 512-bit registers.
#include "probe.h"

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
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(sum[c]) : "v"(ones));
  }
}

}  // namespace

PeakProbe probe_avx512() { return {run, kChains * 16.0 * 2, "vfmadd231ps zmm"}; }
#else
PeakProbe probe_avx512() { return {}; }
#endif

}  // namespace flash_mla::cli
