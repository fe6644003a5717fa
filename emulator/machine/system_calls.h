// What kernels call without bringing it: printf and assert (CUDA C++ Programming Guide, sections Formatted Output and
// Assertion).
#pragma once

#include <string>
#include <vector>

#include "machine/op.h"

namespace emulator::machine {

/// Makes `op` the call of a system function; `arguments`: offsets of its results and parameters in local memory. False:
/// there is no such function.
bool decode_system_call(Op& op, const std::string& name, const std::vector<uint32_t>& arguments);

}  // namespace emulator::machine
