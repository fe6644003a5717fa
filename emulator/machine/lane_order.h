// Which accesses of a warp's lanes are ordered before what its other lanes do next: lanes do not run in lockstep.
#pragma once

#include <cstdint>
#include <vector>

#include "machine/clock.h"

namespace emulator::machine {

class LaneOrder {
 public:
  /// All lanes have met: what any of them did up to the warp's `time`, or copied with cp.async up to the group
  /// `copies`, is before what any does now.
  void meet_all(uint32_t time, uint32_t copies) {
    time_ = std::max(time_, time);
    copies_ = std::max(copies_, copies);
    std::erase_if(parts_, [this](const Part& part) { return part.time <= time_; });
  }
  /// The lanes of a mask have met.
  void meet(uint32_t time, uint32_t mask) {
    constexpr size_t kMost = 64;
    if (parts_.size() == kMost) {  // the oldest is taken for a meeting of all, so that nothing is reported wrongly
      time_ = parts_.front().time;
      parts_.erase(parts_.begin());
    }
    parts_.push_back({time, mask});
  }

  [[nodiscard]] bool all_ordered(uint32_t time) const { return time <= time_; }
  [[nodiscard]] bool copies_ordered(uint32_t group) const { return group <= copies_; }
  /// Whether what lane `from` did at the warp's `time` is before what lane `to` does now.
  [[nodiscard]] bool ordered(uint32_t time, uint32_t from, uint32_t to) const {
    if (from == to || all_ordered(time)) return true;
    uint32_t reached = 1u << from;
    for (const Part& part : parts_) {
      if (part.time >= time && (part.mask & reached) != 0) reached |= part.mask;
    }
    return (reached >> to & 1) != 0;
  }

 private:
  struct Part {
    uint32_t time, mask;
  };
  uint32_t time_ = 0, copies_ = 0;
  std::vector<Part> parts_;
};

}  // namespace emulator::machine
