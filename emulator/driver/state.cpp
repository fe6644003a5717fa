#include "driver/state.h"

#include <utility>

namespace emulator::driver {

State& state() {
  static State all;
  return all;
}

std::vector<CUcontext>& context_stack() {
  thread_local std::vector<CUcontext> stack;
  return stack;
}

CUresult fail(CUresult result, std::string message) {
  state().message = std::move(message);
  return result;
}

bool is_stream(const State& all, CUstream stream) {
  // 0: the default stream, 1: the legacy one, 2: the thread's own.
  return reinterpret_cast<uintptr_t>(stream) <= 2 || find_handle(all.streams, stream) != all.streams.end();
}

bool is_function(const State& all, CUfunction function) {
  for (const auto& module : all.modules) {
    for (const auto& known : module->functions) {
      if (known.get() == function) return true;
    }
  }
  return false;
}

}  // namespace emulator::driver
