// What launches counted, for `flash_mla_emulator report`: lines of JSON in the file that FLASH_MLA_EMULATOR_COUNTERS
// names.
#pragma once

#include "machine/launch.h"

namespace emulator::driver {

/// Appends a line about the launch, and before the first one of a kernel a line about its code. Nothing without the
/// environment variable; where the file cannot be written, stderr says so once.
void log_counters(const machine::Program& program, const machine::LaunchShape& shape, const machine::Options& options,
                  const machine::Counters& counters, const machine::Reports& reports);

}  // namespace emulator::driver
