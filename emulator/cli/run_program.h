// Runs a program with the emulator in place of the driver.
#pragma once

#include <string>
#include <vector>

namespace emulator::cli {

/// libcuda.so.1's stand-in lies in this folder, beside this executable's. Throws std::runtime_error if it does not.
std::string driver_folder();

/// Waits for the program, whose launches are recorded in `counters`. Returns its exit code; 128 and the signal's number
/// if one ended it. Throws std::runtime_error if it cannot be started.
int run_program(const std::vector<std::string>& command, const std::string& counters);

}  // namespace emulator::cli
