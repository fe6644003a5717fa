// What a replay tells.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace emulator::clock {

/// What a warp waits for.
enum class Stall : uint8_t {
  operands,  // of a branch: everything else waits in the background
  tensor_queue,
  tensor_result,
  mbarrier,
  barrier,
  cluster,
  fence,
  copies,  // its bulk or small copies
  dependency
};
constexpr size_t kStalls = 9;
std::string_view name_of(Stall stall);

/// Where in a kernel warps wait, and what share of all warps' time.
struct HotSpot {
  std::string place;
  Stall stall;
  double share;
};

struct LaunchFigures {
  std::string kernel;
  double begin = 0, end = 0;  // clocks
  double seconds = 0;         // with both ends of the launch, at the clock that the tensor cores leave
  double added_seconds = 0;   // after the launch before it has ended
  uint64_t instructions = 0;
  // Shares of the time between the first CTA's start and the last one's end, over the SMs.
  double tensor = 0, shared = 0, issue = 0, transcendental = 0, l2 = 0, hbm = 0;
  double hbm_bytes = 0, l2_bytes = 0;
  std::array<double, kStalls> stalls{};  // of the warps' time
  std::vector<HotSpot> hot_spots;        // the worst first
};

/// A picture of some of a launch.
struct Timeline {
  uint32_t cta = 0;  // the first launch's whose SM is watched
  struct Span {
    uint32_t launch, cta, warp;
    Stall stall;
    double from, to;
  };
  struct Work {
    uint32_t launch, cta, who;  // who: tensor cores: the warpgroup; copies: the warp
    double from, to;
  };
  std::vector<Span> stalls;
  std::vector<Work> tensor, copies;
};

}  // namespace emulator::clock
