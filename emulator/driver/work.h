// What a stream is given to do: done at once, or kept as a node of a graph that is being captured.
#pragma once

#include <array>
#include <cstdint>
#include <variant>
#include <vector>

#include "driver/abi.h"
#include "machine/launch.h"

namespace emulator::driver {

struct State;

struct Nothing {};
struct Launch {
  CUfunction function = nullptr;
  machine::LaunchShape shape;
  std::vector<uint8_t> parameters;
};
enum class Direction : uint8_t { to_device, to_host, on_device };
struct Copy {
  Direction direction;
  uint64_t to, from;  // addresses of the host or the device
  uint64_t size;
};
struct Fill {
  CUdeviceptr to;
  std::array<uint8_t, 4> pattern;
  uint32_t width;
  uint64_t count;
};
struct RecordEvent {
  CUevent event;
};
using Work = std::variant<Nothing, Launch, Copy, Fill, RecordEvent>;

CUgraphNodeType type_of(const Work& work);

CUresult perform(State& all, const Work& work);
CUresult perform_launch(State& all, const Launch& launch);
CUresult perform_copy(State& all, const Copy& copy);
CUresult perform_fill(State& all, const Fill& fill);
CUresult perform_record(State& all, const RecordEvent& record);

/// Gives work to a stream of the current context.
CUresult submit(State& all, CUstream stream, Work work);

}  // namespace emulator::driver
