// What kernels did, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/launch_log.h"

namespace emulator::cli {

std::string table_of(const LoggedKernel& kernel);
nlohmann::json json_of(const LoggedKernel& kernel);

}  // namespace emulator::cli
