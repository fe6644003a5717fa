// The file that FLASH_MLA_EMULATOR_COUNTERS names (emulator/driver/counters_log.h), added up by kernel.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace emulator::cli {

struct LoggedInstruction {
  uint32_t line = 0;  // of the PTX
  std::string opcode;
  std::string file;  // of the source; empty: unknown
  uint32_t source_line = 0;
  uint64_t executions = 0;
  uint64_t wavefronts = 0, ideal_wavefronts = 0;
  uint64_t sectors = 0, ideal_sectors = 0;
};

struct LoggedKernel {
  std::string name;
  uint64_t launches = 0, ctas = 0, reports = 0;
  std::map<std::string, uint64_t> counters;  // by the names in the file
  std::vector<LoggedInstruction> instructions;

  [[nodiscard]] uint64_t count(const std::string& counter) const { return counters.at(counter); }
};

/// In the order of their first launches. Throws std::runtime_error, naming the file and the line, where it is not such
/// a file or has no launch.
std::vector<LoggedKernel> read_launch_log(const std::string& path);

}  // namespace emulator::cli
