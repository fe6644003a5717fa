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
  bool is_global = false;
};

enum class Use : uint8_t { read, write };

/// The bytes at an address of a space, for a lane. Faults if they are not all there, or not aligned to their size.
Place find_place(Warp& warp, const Op& op, uint32_t lane, ptx::Space space, uint64_t address, uint32_t size, Use use);

/// The shared memory of the CTA that a 32-bit shared address names; the offset in it comes back in `offset`. Faults
/// where [offset, offset + size) is not all inside.
Cta& find_shared(Warp& warp, const Op& op, uint32_t address, uint32_t size, uint32_t& offset);

/// Reports a read of bytes that nobody wrote.
void check_initialised(Warp& warp, const Op& op, const Place& place, uint32_t size);

/// Shared and global memory; local and parameter memory is a thread's own.
inline bool is_tracked(const Place& place) {
  return place.shared_of != nullptr || place.is_global;
}

/// What the lanes of one instruction touch, all with `size` bytes: for the race detector, which takes lanes that follow
/// each other in memory together.
struct Touches {
  uint32_t mask = 0;
  Cta* owner[kLanes];    // of shared memory; null: global
  uint64_t at[kLanes];   // offset in it, or address

  void add(uint32_t lane, const Place& place, uint64_t address) {
    mask |= 1u << lane;
    owner[lane] = place.shared_of;
    at[lane] = place.shared_of != nullptr ? place.offset : address;
  }
};

/// Tells the race detector of plain accesses by a warp's lanes, and flags (flags.h) of strong ones.
void track_lanes(Warp& warp, const Op& op, const Touches& touches, uint32_t size, Use use);
void track_atomics(Warp& warp, const Op& op, const Touches& touches, uint32_t size);
/// Of 16 bytes of shared memory that all lanes access together.
void track_together(Warp& warp, const Op& op, Cta& owner, uint32_t offset, Use use);

/// Accesses of one kind by one who knows the same all the time.
struct Tracker {
  Access access;
  View view;
};

/// Who accesses: an engine, at its own time, for a lane of a warp (or kNoLane) that knows `known`.
struct Engine {
  Agent agent;
  uint32_t time;
  bool async;  // by the async proxy
  int8_t lane;
};
/// `known`: outlives it.
Tracker tracker_of(const Warp& warp, const Op& op, Use use, const Engine& engine, const Knowledge& known);
void report_conflict(Warp& warp, const Op& op, const Cta& owner, uint32_t offset, const Access& now,
                     const Conflict& conflict);
/// An aligned chunk.
inline void track_chunk(Warp& warp, const Op& op, Cta& owner, uint32_t offset, const Tracker& tracker) {
  const auto conflict = owner.race[offset / kChunk].access(tracker.access, tracker.view);
  if (conflict) report_conflict(warp, op, owner, offset, tracker.access, *conflict);
}
void track_shared(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t size, Use use, const Engine& engine);
/// `atomic`: towards atomic operations of the device.
void track_global(Warp& warp, const Op& op, uint64_t address, uint64_t size, Use use, const Engine& engine,
                  bool atomic = false);

/// Wavefronts that an access of a warp to shared memory takes, and would take without bank conflicts.
void count_wavefronts(Counters& counters, const uint32_t* offsets, uint32_t mask, uint32_t bytes);

}  // namespace emulator::machine
