// What the environment says about launches (docs/emulator.md, "Use").
#pragma once

#include "machine/launch.h"

namespace emulator::driver {

machine::Options options_of_environment();

}  // namespace emulator::driver
