// Watches a launch, for tools that need more than its results.
#pragma once

#include <cstdint>

namespace emulator::machine {

class Warp;
struct Op;

class Observer {
 public:
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer() = default;

  /// A warp is about to run an instruction for the lanes of `mask`, none if its guard holds for no lane. Registers
  /// are as the instruction finds them. An instruction that has to wait is announced again when it goes on.
  virtual void executes(Warp& warp, const Op& op, uint32_t mask) = 0;
};

}  // namespace emulator::machine
