// What the parts of the runtime share. Its error codes are the driver's: the numbers agree.
#pragma once

#include "runtime/driver_calls.h"

#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))

namespace emulator::runtime {

enum : int { kErrorInvalidSymbol = 13, kErrorInvalidDeviceFunction = 98 };

/// Makes the primary context current to a thread that has none.
int enter();
/// Remembers an error for cudaGetLastError(), and returns it.
int note(int error);

/// note() of what `body` returns, once a context is there.
template <class F>
int call(F body) {
  const int error = enter();
  return note(error != 0 ? error : body());
}

/// The kernel, or the variable, that the program knows by this address.
int find_function(const void* host, CUfunction& function);
int find_variable(const void* host, CUdeviceptr& address, size_t& size);
/// After a reset of the device: what was loaded is gone.
void forget_modules();

}  // namespace emulator::runtime
