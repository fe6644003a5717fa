// FP32 multiply and add with what every machine of this architecture has: compilers use its 128-bit registers without
// being asked, so the ceiling of single lanes could be passed.
#include "bench/probe.h"
#include "bench/probe_chains.h"

namespace flash_mla::cli {
namespace {

using Lanes = float __attribute__((vector_size(16)));

struct Pair {
  Lanes product;
  Lanes sum;
};

constexpr int kChains = 8;  // 2 + 2 a cycle at a latency of 3 need 6; with 7, Zen 4's scheduler loses 5 %

void run(int64_t iterations) {
  Pair chains[kChains];
  for (Pair& chain : chains) chain = {Lanes{1, 1, 1, 1}, Lanes{}};
  const auto step = [](Pair & chain) __attribute__((always_inline)) {
#if defined(__x86_64__)
    asm volatile("mulps %0, %0" : "+x"(chain.product));
    asm volatile("addps %0, %0" : "+x"(chain.sum));
#elif defined(__aarch64__)
    asm volatile("fmul %0.4s, %0.4s, %0.4s" : "+w"(chain.product));
    asm volatile("fadd %0.4s, %0.4s, %0.4s" : "+w"(chain.sum));
#else
    // Through memory: too slow to pass for a peak, so no share is given there.
    asm volatile("" : "+m"(chain));
    chain.product *= chain.product;
    chain.sum += chain.sum;
#endif
  };
  run_chains(chains, iterations, step, std::make_integer_sequence<int, kChains>());
}

}  // namespace

PeakProbe probe_scalar() {
  return {run, kRounds * kChains * 4.0 * 2, "multiply and add, 128 bits", 8};
}

}  // namespace flash_mla::cli
