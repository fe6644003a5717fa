#include "clock/trace.h"

#include <algorithm>

namespace emulator::clock {

uint64_t LaunchTrace::instructions() const {
  uint64_t total = 0;
  for (const auto& cta : ctas) {
    for (const WarpTrace& warp : cta) {
      for (const Step& step : warp) total += step.kind == StepKind::run ? step.count : 1;
    }
  }
  return total;
}

}  // namespace emulator::clock
