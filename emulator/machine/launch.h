// Runs a kernel over its grid.
#pragma once

#include <string>
#include <vector>

#include "machine/cta.h"

namespace emulator::machine {

/// What a launch is refused for, or empty.
std::string refuse(const Program& program, const LaunchShape& shape);

/// Runs the whole grid and returns when it is done or has stopped at a fatal report. `parameters` are the kernel's,
/// laid out as Program::parameters says. `stream`: the grids before in its stream, to which this one is added; null:
/// they have all finished, and nobody overlaps with this one. Throws nothing but std::bad_alloc.
Counters run(const Program& program, const LaunchShape& shape, const std::vector<uint8_t>& parameters, Memory& memory,
             const Options& options, Reports& reports, Prerequisites* stream = nullptr);

}  // namespace emulator::machine
