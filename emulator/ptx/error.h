// What is wrong with a PTX text, and where.
#pragma once

#include <cstdint>
#include <string>

namespace emulator::ptx {

struct Error {
  uint32_t line = 0;  // of the PTX text, from 1
  std::string message;
};

}  // namespace emulator::ptx
