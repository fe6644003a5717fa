// A launch's time as an interval: the replay over several seeds and both ends of what is not known well.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "clock/replay.h"

namespace emulator::clock {

/// One way that the chip may be.
struct Variant {
  std::string name;
  Parameters parameters;
};
/// The parameters as they are, and with L2's and HBM's width and the barriers' cost at both ends, one by one and
/// together.
std::vector<Variant> variants(const Parameters& centre);

struct StudiedLaunch {
  LaunchFigures centre;  // of the first seed
  /// Seconds that the launch adds to those before it, by variant and seed.
  std::map<std::string, std::vector<double>> seconds;
  [[nodiscard]] double mean(const std::string& variant) const;
  [[nodiscard]] double least() const;  // of the variants' means
  [[nodiscard]] double most() const;
};

/// Chips that all see the same launches.
class Study {
 public:
  Study(const Parameters& centre, uint32_t seeds, bool with_interval);
  /// Like Gpu::replay; the timeline is the first chip's.
  std::variant<std::vector<StudiedLaunch>, std::string> replay(const std::vector<const LaunchTrace*>& launches,
                                                               Timeline* timeline = nullptr);

 private:
  struct Chip {
    std::string variant;
    Gpu gpu;
  };
  std::vector<Chip> chips_;
};

/// A line of JSON.
std::string json_of(const StudiedLaunch& studied, const LaunchTrace& trace, uint64_t number);
std::string json_of(const Timeline& timeline, const std::vector<LaunchFigures>& launches);

}  // namespace emulator::clock
