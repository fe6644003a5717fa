#include "clock/replay.h"

#include <algorithm>

#include "clock/simulation.h"

namespace emulator::clock {
namespace {

double throttled(const Parameters& p, double tensor) {
  const double share = std::clamp((tensor - p.throttles_from) / (p.throttles_to - p.throttles_from), 0.0, 1.0);
  return p.clock_hz + share * (p.throttled_hz - p.clock_hz);
}

}  // namespace

std::string_view name_of(Stall stall) {
  constexpr std::string_view kNames[kStalls] = {"operands", "tensor queue", "tensor result", "mbarrier",  "barrier",
                                                "cluster",  "fence",        "copies",        "dependency"};
  return kNames[static_cast<size_t>(stall)];
}

Gpu::Gpu(const Parameters& parameters) : parameters_(parameters), memory_(parameters) {}

std::variant<std::vector<LaunchFigures>, std::string> Gpu::replay(const std::vector<const LaunchTrace*>& launches,
                                                                  Timeline* timeline) {
  Simulation simulation(parameters_, memory_, launches, now_, timeline);
  if (std::string why = simulation.run(); !why.empty()) return why;
  std::vector<LaunchFigures> figures = simulation.figures();
  for (LaunchFigures& launch : figures) {
    const double hz = throttled(parameters_, launch.tensor);
    launch.seconds = (launch.end - launch.begin) / hz;
    launch.added_seconds = (launch.end - now_) / hz;
    now_ = launch.end;
  }
  return figures;
}

}  // namespace emulator::clock
