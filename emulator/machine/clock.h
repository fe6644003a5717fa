// Vector clocks: which accesses of which agents are ordered before now.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace emulator::machine {

/// An agent is whatever accesses shared memory in an order of its own: a warp, the tensor cores of a warpgroup, a
/// warp's bulk stores, a warp's cp.async copies, the copies that complete on one mbarrier.
using Agent = uint32_t;

class Clock {
 public:
  [[nodiscard]] uint32_t at(Agent agent) const { return agent < times_.size() ? times_[agent] : 0; }
  void set(Agent agent, uint32_t time) {
    if (agent >= times_.size()) times_.resize(agent + 1, 0);
    times_[agent] = std::max(times_[agent], time);
  }
  void advance(Agent agent) { set(agent, at(agent) + 1); }
  void join(const Clock& other) {
    if (times_.size() < other.times_.size()) times_.resize(other.times_.size(), 0);
    for (size_t i = 0; i < other.times_.size(); ++i) times_[i] = std::max(times_[i], other.times_[i]);
  }
  /// What both know.
  void meet(const Clock& other) {
    for (size_t i = 0; i < times_.size(); ++i) times_[i] = std::min(times_[i], other.at(static_cast<Agent>(i)));
  }
  void clear() { times_.clear(); }

 private:
  std::vector<uint32_t> times_;
};

/// What one side of a synchronisation hands to the other: what happened before, and how much of it the async proxy
/// sees.
struct Knowledge {
  Clock ordered;
  Clock fenced;
  void join(const Knowledge& other) {
    ordered.join(other.ordered);
    fenced.join(other.fenced);
  }
  void meet(const Knowledge& other) {
    ordered.meet(other.ordered);
    fenced.meet(other.fenced);
  }
  void clear() {
    ordered.clear();
    fenced.clear();
  }
};

}  // namespace emulator::machine
