// L2 and HBM, which all SMs share.
#pragma once

#include <cstdint>
#include <vector>

#include "clock/bandwidth.h"
#include "clock/parameters.h"
#include "clock/trace.h"

namespace emulator::clock {

class MemorySystem {
 public:
  explicit MemorySystem(const Parameters& parameters);

  struct Latency {
    double hit, miss;
  };
  /// When lines that are wanted at `time` have come.
  double read(double time, const Line* lines, size_t count, Latency latency);
  /// When L2 has taken lines; they reach HBM when L2 needs the room.
  double write(double time, const Line* lines, size_t count);

  [[nodiscard]] double l2_bytes() const { return l2_.total(); }
  [[nodiscard]] double hbm_bytes() const { return hbm_.total(); }

 private:
  struct Entry {
    uint64_t line = kNoLine;
    double there = 0;             // when it has come, short of half a hit's latency
    uint8_t held = 0, dirty = 0;  // sectors
  };
  static constexpr uint64_t kNoLine = UINT64_MAX;
  static constexpr size_t kWays = 16;

  Entry* set_of(uint64_t line);
  /// The entry of a line; `evicted` grows by what has to be written back for it.
  Entry& find_or_place(uint64_t line, double& evicted);

  size_t sets_;
  std::vector<Entry> entries_;
  std::vector<uint8_t> oldest_;  // of each set
  Bandwidth l2_, hbm_;
};

}  // namespace emulator::clock
