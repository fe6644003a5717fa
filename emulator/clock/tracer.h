// Writes a launch's trace while the machine runs it.
#pragma once

#include "clock/trace.h"
#include "machine/observer.h"

namespace emulator::clock {

class Tracer : public machine::Observer {
 public:
  Tracer(const machine::Program& program, const machine::LaunchShape& shape);
  void executes(machine::Warp& warp, const machine::Op& op, uint32_t mask) override;
  /// The trace so far; the tracer is spent.
  LaunchTrace take() { return std::move(trace_); }

 private:
  void add_memory(machine::Warp& warp, const machine::Op& op, uint32_t mask, WarpTrace& steps);
  void add_bulk_copy(machine::Warp& warp, const machine::Op& op, uint32_t mask, WarpTrace& steps);
  void add_small_copy(machine::Warp& warp, const machine::Op& op, uint32_t mask, WarpTrace& steps);
  void add_arrivals(machine::Warp& warp, const machine::Op& op, uint32_t mask, WarpTrace& steps);
  void add_lines(uint64_t address, uint64_t bytes);
  uint16_t merge_lines(size_t first);
  void add_box(machine::Warp& warp, const machine::Op& op, uint32_t lane, size_t map, Copy& copy);

  LaunchTrace trace_;
};

}  // namespace emulator::clock
