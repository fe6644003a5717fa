// What the warps of a launch did, in order, with what a replay needs to time it and nothing of the values.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "clock/code.h"
#include "machine/cta.h"

namespace emulator::clock {

enum class StepKind : uint8_t {
  run,  // count: plain instructions in a row, starting with op
  wgmma,
  wgmma_commit,
  wgmma_wait,
  mbarrier_init,    // a: shared address, b: arrivals
  mbarrier_arrive,  // a: shared address, its CTA's rank above; count: arrivals, b: bytes to expect
  mbarrier_wait,    // a: shared address, b: parity
  barrier_sync,     // a: id, count: warps
  barrier_arrive,
  cluster_arrive,
  cluster_wait,
  load_copy,  // a: in LaunchTrace::copies
  store_copy,
  send_copy,  // to another CTA's shared memory
  bulk_commit,
  bulk_wait,
  small_copy,  // a: first of LaunchTrace::lines, count: how many, b: wavefronts
  small_commit,
  small_wait,
  fence,
  global_load,  // a: first of LaunchTrace::lines, count: how many
  global_store,
  shared,  // count: wavefronts
  remote,  // another CTA's shared memory; b: bytes
  dependents,
  dependency_wait
};

struct Step {
  uint32_t op = 0;
  uint16_t count = 0;
  StepKind kind = StepKind::run;
  uint32_t a = 0, b = 0;
};

/// A line of 128 bytes of global memory, by number, and which of its sectors of 32 are touched, in the lowest four
/// bits.
using Line = uint64_t;
constexpr uint32_t kLineBytes = 128, kSectorBytes = 32, kSectors = 4;
inline uint64_t number_of(Line line) {
  return line >> kSectors;
}
inline uint32_t sectors_of(Line line) {
  return static_cast<uint32_t>(line) & ((1u << kSectors) - 1);
}
inline uint32_t bytes_of_sectors(uint32_t sectors) {
  return static_cast<uint32_t>(std::popcount(sectors)) * kSectorBytes;
}
inline uint32_t bytes_of(Line line) {
  return bytes_of_sectors(sectors_of(line));
}

/// A bulk copy between global and shared memory.
struct Copy {
  uint32_t first_line = 0, lines = 0;
  uint32_t bytes = 0;    // in each CTA's shared memory
  uint32_t barrier = 0;  // shared address in each CTA
  uint16_t ranks = 0;    // of CTAs in the cluster
};

using WarpTrace = std::vector<Step>;

struct LaunchTrace {
  std::shared_ptr<const Code> code;
  machine::LaunchShape shape;
  uint32_t shared_bytes = 0;                 // a CTA
  uint32_t registers = 0;                    // a thread, 0: unknown
  bool is_programmatic = false;              // may start before the launch before it has ended
  std::vector<std::vector<WarpTrace>> ctas;  // x fastest
  std::vector<Line> lines;
  std::vector<Copy> copies;
};

}  // namespace emulator::clock
