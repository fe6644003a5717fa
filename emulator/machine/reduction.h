// Copies that add to what they find, or combine with it otherwise: cp.reduce.async.bulk (PTX ISA 9.0, sections
// 9.7.9.25.4.2 and 9.7.9.27.1.3).
#pragma once

#include "machine/decoder.h"

namespace emulator::machine {

/// What happens to bytes that arrive. Of a plain copy: they take the place of those that are there.
struct Reduction {
  bool reduces = false;
  uint8_t kind = 0;
  ptx::Type type = ptx::Type::none;

  void deliver(uint8_t* to, const uint8_t* from, uint64_t bytes) const;
};

/// Of an instruction: op.flags and op.type, as take_reduction() has left them.
Reduction reduction_of(const Op& op);
/// Takes the operation from the opcode of a cp.reduce.async.bulk.
void take_reduction(Decoder& d);
/// Takes the type behind it; fails if the operation does not have it. `to_shared`: the bytes go to shared memory.
void take_reduction_type(Decoder& d, bool to_shared);

}  // namespace emulator::machine
