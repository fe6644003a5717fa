// One decoded instruction.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "machine/clock.h"
#include "ptx/module.h"
#include "ptx/type.h"

namespace emulator::machine {

class Warp;
struct Op;

/// Where 32 lanes of a register lie: byte offset in the warp's register file. A slot is 128 bytes (32 lanes of 4
/// bytes), a 64-bit register has two. Registers of 8 and 16 bits have 32-bit lanes with zeros above. A predicate is a
/// mask of lanes in the first 4 bytes of its slot.
using Slot = uint32_t;
constexpr Slot kNoSlot = UINT32_MAX;
constexpr uint32_t kSlotBytes = 128;
constexpr uint32_t kLanes = 32;
constexpr uint32_t kAllLanes = UINT32_MAX;

enum class Outcome : uint8_t {
  next,
  next_when,   // the warp's `wait` says what for; then on to the next instruction
  retry_when,  // likewise; then this instruction again
  yield        // next, and other warps get their turn
};

using Handler = Outcome (*)(Warp&, const Op&, uint32_t mask);

enum class Flow : uint8_t { normal, branch, exit };

/// Which lanes have to arrive at an instruction before it runs for all of them at once.
enum class Gather : uint8_t {
  none,
  live,    // all lanes that have not exited (.aligned)
  members  // those of the member mask in src[5]
};

struct Op {
  Handler run = nullptr;
  Flow flow = Flow::normal;
  Gather gather = Gather::none;
  uint8_t sources = 0;  // of src, all of which have to be written before
  uint8_t results = 0;  // of dst
  uint8_t count = 1;    // elements of a vector, matrices, ...
  ptx::Space space = ptx::Space::generic;
  ptx::Type type = ptx::Type::none;
  uint8_t kind = 0;    // what a handler distinguishes
  uint32_t flags = 0;  // likewise
  Scope scope = Scope::none;              // of a strong access, of a fence; none: a weak access
  bool acquires = false, releases = false;
  bool constant = false;  // ld.global.nc
  bool guard_negated = false;
  Slot guard = kNoSlot;
  uint32_t target = 0;  // of a branch
  std::array<Slot, 2> dst{kNoSlot, kNoSlot};
  std::array<Slot, 6> src{kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot};
  uint8_t wide = 0;                  // bit i: src[i] has 64-bit lanes
  std::array<int64_t, 3> offsets{};  // of the addresses in src
  bool tensor = false;               // wgmma.mma_async: `list` are accumulators
  int64_t value = 0;
  std::vector<Slot> list;     // of a vector, a tensor's coordinates, ...
  bool list_is_read = false;  // by the instruction, not written
  uint32_t number = 0;        // in its program
};

}  // namespace emulator::machine
