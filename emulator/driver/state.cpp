#include "driver/state.h"

#include <utility>

#include "machine/address.h"

// Contexts lie apart in the address space: what is allocated in one is out of bounds in another.
CUctx_st::CUctx_st(uint64_t its_id) : id(its_id), memory(emulator::machine::kDeviceStart + (its_id % 4096 << 44)) {}

namespace emulator::driver {

State& state() {
  static State all;
  return all;
}

std::vector<Current>& context_stack() {
  thread_local std::vector<Current> stack;
  return stack;
}

CUresult fail(CUresult result, std::string message) {
  state().message = std::move(message);
  return result;
}

CUresult enter_context(State& all) {
  if (context_stack().empty()) return fail(CUDA_ERROR_INVALID_CONTEXT, "there is no current context");
  const auto [context, id] = context_stack().back();
  const bool is_primary = context == &all.contexts.front();
  if (!is_primary && (!context->alive || context->id != id))
    return fail(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the current context has been destroyed");
  all.here = context;
  return context->sticky;
}

CUstream_st* stream_of(State& all, CUstream handle) {
  switch (reinterpret_cast<uintptr_t>(handle)) {
    case 0:  // the default stream
    case 1:
      return &all.here->legacy_stream;
    case 2:  // the thread's own, which is one for all threads here
      return &all.here->thread_stream;
    default:
      break;
  }
  const auto found = find_handle(all.here->streams, handle);
  if (found != all.here->streams.end()) return found->get();
  fail(CUDA_ERROR_INVALID_HANDLE, "that is no stream of the current context");
  return nullptr;
}

bool is_function(const State& all, CUfunction function) {
  for (const auto& module : all.here->modules) {
    for (const auto& known : module->functions) {
      if (known.get() == function) return true;
    }
  }
  return false;
}

}  // namespace emulator::driver
