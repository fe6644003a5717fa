#include "clock/simulation.h"

#include <algorithm>

#include "support/format.h"

namespace emulator::clock {
namespace {

/// The instructions at which warps wait longest.
void add_hot_spots(const LaunchState& launch, LaunchFigures& figures) {
  constexpr size_t kMost = 16;
  constexpr double kLeastShare = 0.002;
  std::vector<HotSpot> spots;
  for (size_t op = 0; op < launch.stalls_by_op.size(); ++op) {
    for (size_t stall = 0; stall < kStalls; ++stall) {
      const double share = launch.stalls_by_op[op][stall] / std::max(launch.warp_time, 1.0);
      if (share >= kLeastShare) spots.push_back({launch.trace->code->places[op], static_cast<Stall>(stall), share});
    }
  }
  std::stable_sort(spots.begin(), spots.end(), [](const HotSpot& a, const HotSpot& b) { return a.share > b.share; });
  spots.resize(std::min(spots.size(), kMost));
  figures.hot_spots = std::move(spots);
}

}  // namespace

Simulation::Simulation(const Parameters& parameters, MemorySystem& memory,
                       const std::vector<const LaunchTrace*>& launches, double begin, Timeline* timeline)
    : parameters_(parameters), memory_(memory), timeline_(timeline), begin_(begin), launches_(launches.size()) {
  for (size_t i = 0; i < launches.size(); ++i) {
    LaunchState& launch = launches_[i];
    const machine::LaunchShape& shape = launches[i]->shape;
    launch.trace = launches[i];
    launch.stalls_by_op.assign(launches[i]->code->instructions.size(), {});
    launch.cluster_size = shape.cluster[0] * shape.cluster[1] * shape.cluster[2];
    launch.unfinished = launch.holding = shape.grid[0] * shape.grid[1] * shape.grid[2];
    launch.cluster_count = launch.unfinished / launch.cluster_size;
  }
  sms_.resize(parameters.sms);
  for (uint32_t i = 0; i < parameters.sms; ++i) {
    sms_[i].number = i;
    sms_[i].remote_port = Bandwidth(parameters.remote_bytes);
  }
}

std::string Simulation::run() {
  for (const LaunchState& launch : launches_) {
    if (std::string why = refuse(*launch.trace); !why.empty()) return why;
  }
  if (launches_.empty()) return {};
  make_eligible(0, begin_);
  // All SMs go through a window before any goes on: what one does to another takes longer than a window.
  constexpr double kWindow = 100;
  uint32_t idle_windows = 0;
  for (double until = begin_ + kWindow; launches_.back().unfinished > 0; until += kWindow) {
    place_clusters(until);
    bool any = false;
    for (SmState& sm : sms_) {
      if (!sm.warps.empty() || !sm.events.empty()) any |= run_sm(sm, until);
    }
    // Waits of launches and of late events are shorter than this.
    constexpr uint32_t kMostIdle = 100'000;
    idle_windows = any ? 0 : idle_windows + 1;
    if (idle_windows > kMostIdle) return describe_stuck();
  }
  return {};
}

std::string Simulation::describe_stuck() const {
  std::string text = "the replay is stuck; some of its warps:";
  constexpr int kMost = 12;
  int shown = 0;
  for (const SmState& sm : sms_) {
    for (const WarpState* const warp : sm.warps) {
      if (++shown > kMost) return text;
      const Code& code = *warp->cta->launch->trace->code;
      const uint32_t op = warp->at == warp->end ? 0 : warp->at->op;
      text += format("\n  CTA {} of launch {}, warp {} waits for {} before {}", warp->cta->index,
                     warp->cta->launch_number, warp->id, name_of(warp->stall), code.places[op]);
    }
  }
  return text;
}

double Simulation::end() const {
  return launches_.empty() ? begin_ : launches_.back().end;
}

std::vector<LaunchFigures> Simulation::figures() const {
  std::vector<LaunchFigures> all;
  for (const LaunchState& launch : launches_) {
    LaunchFigures figures;
    figures.kernel = launch.trace->code->name;
    figures.begin = launch.begin;
    figures.end = launch.end;
    figures.instructions = launch.instructions;
    const double time = launch.last_cta - launch.first_start;
    const double sms = static_cast<double>(sms_.size());
    figures.tensor = launch.tensor / (time * sms);
    figures.shared = launch.shared / (time * sms);
    figures.issue = launch.issue / (time * sms * 4);
    figures.transcendental = launch.transcendental / (time * sms * 4);
    figures.l2_bytes = launch.l2;
    figures.hbm_bytes = launch.hbm;
    figures.l2 = launch.l2 / (time * parameters_.l2_bytes);
    figures.hbm = launch.hbm / (time * parameters_.hbm_bytes_per_second / parameters_.clock_hz);
    for (size_t i = 0; i < kStalls; ++i) figures.stalls[i] = launch.stalls[i] / std::max(launch.warp_time, 1.0);
    add_hot_spots(launch, figures);
    all.push_back(figures);
  }
  return all;
}

}  // namespace emulator::clock
