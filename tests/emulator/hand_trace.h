// Traces written by hand, and a chip whose numbers are easy to add up.
#pragma once

#include <memory>
#include <variant>

#include "clock/replay.h"

namespace emulator::test {

/// A kernel of a few instructions, each with a number, and what CTAs do with them.
class HandTrace {
 public:
  explicit HandTrace(std::array<uint32_t, 3> grid, uint32_t warps, uint32_t cluster = 1);

  /// An instruction that reads and writes registers; returns its number.
  uint32_t instruction(clock::Unit unit, const std::vector<uint32_t>& reads, const std::vector<uint32_t>& writes,
                       clock::Kind kind = clock::Kind::plain);
  uint32_t wgmma(uint32_t columns, bool a_in_registers);
  /// A copy of whole lines from `line` on, and its number.
  uint32_t copy(uint64_t line, uint32_t bytes, uint32_t barrier, uint16_t ranks = 1);

  clock::WarpTrace& warp(uint32_t cta, uint32_t number) { return trace_.ctas.at(cta).at(number); }
  /// Appends steps for `op` to a warp.
  void run(uint32_t cta, uint32_t warp, uint32_t op, uint16_t count = 1);
  void step(uint32_t cta, uint32_t warp, clock::Step step);

  const clock::LaunchTrace& finish();
  clock::LaunchTrace& trace() { return trace_; }

 private:
  clock::LaunchTrace trace_;
  std::shared_ptr<clock::Code> code_ = std::make_shared<clock::Code>();
};

/// No time for launches and starts, no difference between the halves of L2, memory that is never the limit.
clock::Parameters plain_chip();

/// Clocks from the first launch's start to the end; fails the test if the replay cannot go on.
double clocks_of(const std::vector<const clock::LaunchTrace*>& launches, const clock::Parameters& parameters);
std::vector<clock::LaunchFigures> figures_of(const std::vector<const clock::LaunchTrace*>& launches,
                                             const clock::Parameters& parameters);

}  // namespace emulator::test
