// FP32 multiply and add with what every machine of this architecture has: compilers use 128-bit registers there, so a
// single-lane ceiling could be passed.
#include "probe.h"

namespace flash_mla::cli {
namespace {

using Lanes = float __attribute__((vector_size(16)));
constexpr int kChains = 7;  // of each kind, in 16 registers: 2 + 2 a cycle at a latency of 3 need 6

Lanes opaque(float value) {
  volatile float hidden = value;
  const float seen = hidden;
  return Lanes{seen, seen, seen, seen};
}

void run(int64_t iterations) {
  Lanes product[kChains];
  Lanes sum[kChains];
  for (int c = 0; c < kChains; ++c) {
    product[c] = opaque(1.0F);
    sum[c] = opaque(0.0F);
  }
  const Lanes one = opaque(1.0F);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 7
    for (int c = 0; c < kChains; ++c) {
      product[c] *= one;
      sum[c] += one;
    }
  }
  volatile Lanes sink;
  for (int c = 0; c < kChains; ++c) sink = product[c] + sum[c];
}

}  // namespace

PeakProbe probe_scalar() { return {run, kChains * 4.0 * 2, "mul and add, 128 bits"}; }

}  // namespace flash_mla::cli
