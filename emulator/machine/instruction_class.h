// What kind of work an instruction is, for tables of how many there were of each.
#pragma once

#include <cstdint>
#include <string_view>

namespace emulator::machine {

enum class InstructionClass : uint8_t {
  tensor,          // wgmma.mma_async
  tensor_control,  // wgmma's fences, groups and waits
  bulk_copy,       // cp.async.bulk and its groups
  small_copy,      // cp.async and its groups
  shared,          // ld, st, ldmatrix and stmatrix of shared memory
  global,          // ld and st of global memory, or of a generic address; prefetches
  constant,        // ld of parameters and constants
  local,
  atomic,
  mbarrier,
  barrier,  // bar, barrier, barrier.cluster, bar.warp.sync
  fence,
  exchange,  // shfl, vote, redux, match, elect, activemask
  arithmetic,
  special,  // ex2, lg2, rcp, ...: a quarter of the speed or less
  convert,
  integer,  // and logic
  select,   // predicates: setp, selp, ...
  move,     // mov, cvta
  control,  // bra, exit, ret
  other
};
inline constexpr uint32_t kInstructionClasses = static_cast<uint32_t>(InstructionClass::other) + 1;

std::string_view name_of(InstructionClass type);
/// By an opcode as it is written, with its suffixes.
InstructionClass class_of(std::string_view opcode);

}  // namespace emulator::machine
