// How instructions reach memory: bounds, alignment, what has been written, races.
#pragma once

#include <cstdint>

#include "machine/cta.h"

namespace emulator::machine {

/// Some bytes of any space, found and checked.
struct Place {
  uint8_t* bytes = nullptr;
  uint8_t* marks = nullptr;  // of initialised bytes, from their memory's start; null: all are
  uint64_t offset = 0;       // in that memory
  Cta* shared_of = nullptr;  // where the memory is shared
};

enum class Use : uint8_t { read, write };

/// The bytes at an address of a space, for a lane. Faults if they are not all there, or not aligned to their size.
Place find_place(Warp& warp, const Op& op, uint32_t lane, ptx::Space space, uint64_t address, uint32_t size, Use use);

/// The shared memory of the CTA that a 32-bit shared address names; the offset in it comes back in `offset`. Faults
/// where [offset, offset + size) is not all inside.
Cta& find_shared(Warp& warp, const Op& op, uint32_t address, uint32_t size, uint32_t& offset);

/// Reports a read of bytes that nobody wrote.
void check_initialised(Warp& warp, const Op& op, const Place& place, uint32_t size);

/// Tells the race detector that `agent` accesses bytes at its `time`, on behalf of `warp`; `known` is ordered before.
void track_shared(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t size, Use use, Agent agent,
                  uint32_t time, bool async, const Knowledge& known);
/// The same for a plain access of the warp's.
void track_plain(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t size, Use use);

}  // namespace emulator::machine
