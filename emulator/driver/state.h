// What the stand-in for the driver keeps, and how its entry points begin.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "driver/abi.h"
#include "machine/launch.h"
#include "ptx/module.h"

// Handles are addresses of these.
struct CUfunc_st {
  CUmodule module = nullptr;
  std::unique_ptr<emulator::machine::Program> program;
  uint32_t max_dynamic_shared = 48 << 10;  // until cuFuncSetAttribute raises it
};
struct CUmod_st {
  emulator::ptx::Module source;
  emulator::machine::VariableAddresses addresses;
  std::vector<std::unique_ptr<CUfunc_st>> functions;
};
struct CUctx_st {
  CUresult sticky = CUDA_SUCCESS;  // the error of a launch, which every later call returns
};
struct CUstream_st {};
struct CUevent_st {
  bool recorded = false;
  double time_ms = 0;
};

namespace emulator::driver {

struct State {
  std::mutex mutex;
  bool initialised = false;
  CUctx_st context;
  uint32_t retained = 0;
  machine::Memory memory;
  std::set<std::unique_ptr<CUmod_st>> modules;
  std::set<std::unique_ptr<CUstream_st>> streams;
  std::set<std::unique_ptr<CUevent_st>> events;
  std::string message;  // about the last error

  /// The grids since the last call that waits or that puts something else into a stream. Streams are not told apart: a
  /// dependent launch that touches what another stream's grid is using has as little order with it.
  machine::Prerequisites before;

  machine::Counters counters;  // of all launches
  std::vector<machine::Report> reports;
  uint64_t launches = 0;
};
State& state();
std::vector<CUcontext>& context_stack();  // of this thread

/// Remembers what is wrong, for flash_mla_emulator_message().
CUresult fail(CUresult result, std::string message);

enum class Needs : uint8_t { nothing, driver, context };

/// Runs an entry point: locked, with what it needs checked, and with no exception let out.
template <class F>
CUresult enter(Needs needs, F body) {
  State& all = state();
  const std::lock_guard<std::mutex> lock(all.mutex);
  try {
    if (needs != Needs::nothing && !all.initialised)
      return fail(CUDA_ERROR_NOT_INITIALIZED, "cuInit has not been called");
    if (needs == Needs::context) {
      if (context_stack().empty() || context_stack().back() == nullptr) {
        return fail(CUDA_ERROR_INVALID_CONTEXT, "there is no current context");
      }
      if (all.context.sticky != CUDA_SUCCESS) return all.context.sticky;
    }
    return body(all);
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (...) {
    return CUDA_ERROR_UNKNOWN;
  }
}

/// Whether a set of owners holds a handle.
template <class T>
auto find_handle(const std::set<std::unique_ptr<T>>& owners, const T* handle) {
  auto at = owners.begin();
  while (at != owners.end() && at->get() != handle) ++at;
  return at;
}

/// A stream that exists, or one of the default streams.
bool is_stream(const State& all, CUstream stream);
bool is_function(const State& all, CUfunction function);

}  // namespace emulator::driver

#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))
