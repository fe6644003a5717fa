// Chains of one instruction, laid out in registers whatever the optimisation level.
#pragma once

#include <cstdint>
#include <utility>

namespace flash_mla::cli {

/// Times that each chain advances in one iteration, so that the loop itself costs nothing.
inline constexpr int kRounds = 4;

/// Calls step(chain) for every chain in turn, `iterations` * kRounds times. The chains are spelled out one by one: an
/// indexed array would live in memory where the compiler does not unroll.
template <class Register, class Step, int... kIndex>
__attribute__((always_inline)) inline void run_chains(Register (&chains)[sizeof...(kIndex)], int64_t iterations,
                                                      Step step, std::integer_sequence<int, kIndex...> /*order*/) {
  for (int64_t i = 0; i < iterations; ++i) {
    static_assert(kRounds == 4);
    (step(chains[kIndex]), ...);
    (step(chains[kIndex]), ...);
    (step(chains[kIndex]), ...);
    (step(chains[kIndex]), ...);
  }
}

}  // namespace flash_mla::cli
