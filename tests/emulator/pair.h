// Small kernels in pairs: one with a mistake that has to be found, and its sound twin.
#pragma once

#include <ostream>

#include "kernel.h"

namespace emulator::test {

struct Pair {
  const char* name;
  machine::LaunchShape shape;
  const char* sound;
  const char* wrong;
  machine::Finding finding;
};
std::ostream& operator<<(std::ostream& out, const Pair& pair);

/// 256 words of ones at %in, room for 256 words at %out, 4096 bytes of shared memory from %r0 on; %r1: the thread, %r63:
/// the CTA.
Result run_body(const char* body, const machine::LaunchShape& shape, uint64_t seed);

/// Over ten seeds: nothing in the sound kernel, and the finding with one of them at least in the other.
void check_pair(const Pair& pair);

}  // namespace emulator::test
