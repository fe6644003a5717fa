// The objects that asynchronous copies complete on.
#pragma once

#include "machine/cta.h"

namespace emulator::machine {

struct MbarrierAt {
  Cta* owner;
  uint32_t offset;
  Mbarrier* barrier;
};

/// The mbarrier at a 32-bit shared address; a fault where there is none.
MbarrierAt find_mbarrier(Warp& warp, const Op& op, uint32_t address);

/// Ends the phase if nothing is missing any more.
void settle(Cta& owner, Mbarrier& barrier);

/// For a copy of `bytes` bytes that completes on the barrier at an offset: counts them. False: the barrier is gone.
bool complete_bytes(Cta& owner, uint32_t offset, uint32_t bytes);

}  // namespace emulator::machine
