// The PTX in a fat binary, as `nvcc -fatbin` writes them.
#pragma once

#include <string>
#include <variant>

namespace emulator::driver {

struct NoPtx {
  std::string why;
};

bool is_fatbin(const void* image);
/// The first PTX text of the image, whose own header says how long it is.
std::variant<std::string, NoPtx> ptx_of_fatbin(const void* image);

}  // namespace emulator::driver
