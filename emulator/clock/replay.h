// Moves a chip through the traces of launches.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "clock/figures.h"
#include "clock/memory_system.h"
#include "clock/parameters.h"
#include "clock/trace.h"

namespace emulator::clock {

/// A chip between launches: what L2 holds, and how late it is.
class Gpu {
 public:
  explicit Gpu(const Parameters& parameters);

  /// Times launches of one stream, one after the other but for programmatic ones. A text says why the traces cannot
  /// be replayed.
  std::variant<std::vector<LaunchFigures>, std::string> replay(const std::vector<const LaunchTrace*>& launches,
                                                               Timeline* timeline = nullptr);

  [[nodiscard]] const Parameters& parameters() const { return parameters_; }

 private:
  Parameters parameters_;
  MemorySystem memory_;
  double now_ = 0;
};

}  // namespace emulator::clock
