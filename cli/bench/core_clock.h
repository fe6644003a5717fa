// A core's clock, without counters: additions that wait for each other take one cycle each.
#pragma once

#include <cstdint>

namespace flash_mla::cli {

/// `additions` is rounded up to a multiple of 64. An instruction set without a chain here does nothing and returns 0;
/// otherwise returns the additions done.
inline int64_t add_chain(int64_t additions) {
  const int64_t rounds = (additions + 63) / 64;
#if defined(__x86_64__) || defined(__aarch64__)
  uint64_t sum = 1;
  uint64_t step = 3;
  for (int64_t i = 0; i < rounds; ++i) {
    // Both operands are registers: some cores fold the addition of a small constant away.
#if defined(__x86_64__)
    asm volatile(".rept 64\n\tadd %1, %0\n\t.endr" : "+r"(sum) : "r"(step) : "cc");
#else
    asm volatile(".rept 64\n\tadd %0, %0, %1\n\t.endr" : "+r"(sum) : "r"(step));
#endif
  }
  return rounds * 64;
#else
  return 0 * rounds;
#endif
}

}  // namespace flash_mla::cli
