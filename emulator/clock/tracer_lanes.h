// What lanes of a warp name.
#pragma once

#include <bit>
#include <cstdint>

#include "machine/address.h"
#include "machine/cta.h"

namespace emulator::clock {

inline uint32_t first_lane(uint32_t mask) {
  return static_cast<uint32_t>(std::countr_zero(mask));
}

template <class F>
void each_lane(uint32_t mask, F f) {
  for (; mask != 0; mask &= mask - 1) f(first_lane(mask));
}

/// A shared address with the rank of its CTA in the cluster above, whether or not the kernel named it.
inline uint32_t absolute(const machine::Warp& warp, uint64_t address) {
  const auto low = static_cast<uint32_t>(address);
  const uint32_t named = low >> machine::kRankShift;
  const uint32_t rank = named == 0 ? warp.cta->rank : named - 1;
  return rank << machine::kRankShift | (low & machine::kOffsetMask);
}

inline uint32_t rank_of(uint32_t address) {
  return address >> machine::kRankShift;
}

}  // namespace emulator::clock
