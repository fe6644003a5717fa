// Vector clocks: which accesses of which agents are ordered before now.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace emulator::machine {

/// An agent is whatever accesses memory in an order of its own: a warp, the tensor cores of a warpgroup, the reads and
/// the writes of a warp's bulk stores, a warp's cp.async copies, the copies that complete on one mbarrier. The grids
/// before a dependent launch are one too. Agents are numbered by cluster.
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
  [[nodiscard]] bool empty() const { return times_.empty(); }
  [[nodiscard]] bool covers(const Clock& other) const {
    for (size_t i = 0; i < other.times_.size(); ++i) {
      if (at(static_cast<Agent>(i)) < other.times_[i]) return false;
    }
    return true;
  }

 private:
  std::vector<uint32_t> times_;
};

/// Of whom an order is promised: threads of the CTA, of the cluster, of the device (or the system).
enum class Scope : uint8_t { none, cta, cluster, device };
constexpr size_t kScopes = 3;
constexpr size_t index_of(Scope scope) {
  return static_cast<size_t>(scope) - 1;
}

/// What is ordered before of the agents of another cluster, and how much of it the async proxy sees.
struct Foreign {
  Clock ordered, fenced;
};
using Elsewhere = std::map<uint32_t, Foreign>;  // by number of the cluster
void join(std::shared_ptr<const Elsewhere>& elsewhere, const std::shared_ptr<const Elsewhere>& other);

/// What has been read from flags without acquire semantics: it counts from a fence on.
struct Unfenced;
void join(std::shared_ptr<const Unfenced>& unfenced, const std::shared_ptr<const Unfenced>& other);

/// What one side of a synchronisation hands to the other: what happened before, and how much of it the async proxy
/// sees.
struct Knowledge {
  Clock ordered;
  Clock fenced;
  std::array<Clock, kScopes> published;  // by memory fences, by their scope
  // Null for most: only flags (flags.h) reach across clusters, or have to be fenced after.
  std::shared_ptr<const Elsewhere> elsewhere;
  std::shared_ptr<const Unfenced> unfenced;

  void join(const Knowledge& other) {
    ordered.join(other.ordered);
    fenced.join(other.fenced);
    for (size_t i = 0; i < kScopes; ++i) published[i].join(other.published[i]);
    if (other.elsewhere != nullptr) emulator::machine::join(elsewhere, other.elsewhere);
    if (other.unfenced != nullptr) emulator::machine::join(unfenced, other.unfenced);
  }
  /// For the accesses of a warpgroup: what all of its warps know of their cluster.
  void meet(const Knowledge& other) {
    ordered.meet(other.ordered);
    fenced.meet(other.fenced);
  }
  void clear() {
    ordered.clear();
    fenced.clear();
    for (Clock& clock : published) clock.clear();
    elsewhere.reset();
    unfenced.reset();
  }
  [[nodiscard]] bool knows(uint32_t cluster, Agent agent, uint32_t time) const;
  [[nodiscard]] bool knows_fenced(uint32_t cluster, Agent agent, uint32_t time) const;
  /// A memory fence.
  void publish(Scope scope) {
    for (size_t i = 0; i <= index_of(scope); ++i) published[i].join(ordered);
  }
  /// A proxy fence.
  void fence();
};

struct Unfenced {
  std::array<Knowledge, kScopes> by_scope;  // by the scope that the fence has to have
};

}  // namespace emulator::machine
