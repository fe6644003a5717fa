// What the stand-in for the driver keeps, and how its entry points begin.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "driver/abi.h"
#include "driver/capture.h"
#include "driver/graph.h"
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
struct CUstream_st {
  bool blocking = true;  // waits for the legacy stream, and it for this one
  emulator::driver::Captured captured;
};
struct CUevent_st {
  bool recorded = false;
  double time_ms = 0;
  emulator::driver::Captured captured;
};
struct CUctx_st {
  explicit CUctx_st(uint64_t its_id);

  uint64_t id;  // never given twice
  bool alive = true;
  CUresult sticky = CUDA_SUCCESS;  // the error of a launch, which every later call returns
  emulator::machine::Memory memory;
  std::set<std::unique_ptr<CUmod_st>> modules;
  std::set<std::unique_ptr<CUstream_st>> streams;
  std::set<std::unique_ptr<CUevent_st>> events;
  CUstream_st legacy_stream, thread_stream;

  /// The grids since the last call that waits or that puts something else into a stream. Streams are not told apart: a
  /// dependent launch that touches what another stream's grid is using has as little order with it.
  emulator::machine::Prerequisites before;
};

namespace emulator::driver {

struct State {
  State() { contexts.emplace_back(++last_context_id); }

  std::mutex mutex;
  bool initialised = false;
  std::deque<CUctx_st> contexts;  // the primary one first; those destroyed leave their place to the next
  uint64_t last_context_id = 0;
  uint32_t retained = 0;     // the primary context
  CUctx_st* here = nullptr;  // the calling thread's context, while a call that needs one runs
  std::set<std::unique_ptr<CUgraph_st>> graphs;
  std::set<std::unique_ptr<CUgraphExec_st>> graph_execs;
  std::set<Capture*> captures;
  uint64_t last_capture_id = 0;
  std::string message;  // about the last error

  machine::Counters counters;  // of all launches
  std::vector<machine::Report> reports;
  uint64_t launches = 0;
};
State& state();

/// A context that a thread has made current, and which of those at that address it was.
struct Current {
  CUcontext context = nullptr;
  uint64_t id = 0;
};
std::vector<Current>& context_stack();  // of this thread

/// Remembers what is wrong, for flash_mla_emulator_message().
CUresult fail(CUresult result, std::string message);

CUresult check_device(CUdevice device);

enum class Needs : uint8_t { nothing, driver, context };

/// Makes the calling thread's context `state().here`, or says why it cannot.
CUresult enter_context(State& all);

/// Runs an entry point: locked, with what it needs checked, and with no exception let out.
template <class F>
CUresult enter(Needs needs, F body) {
  State& all = state();
  const std::lock_guard<std::mutex> lock(all.mutex);
  try {
    if (needs != Needs::nothing && !all.initialised)
      return fail(CUDA_ERROR_NOT_INITIALIZED, "cuInit has not been called");
    if (needs == Needs::context) {
      if (const CUresult bad = enter_context(all)) return bad;
    }
    return body(all);
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (...) {
    return CUDA_ERROR_UNKNOWN;
  }
}

/// An entry point that a capture does not allow (see refuse_unsafe()).
template <class F>
CUresult enter_unsafe(F body) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    const CUresult bad = refuse_unsafe(all);
    return bad != CUDA_SUCCESS ? bad : body(all);
  });
}

/// Whether a set of owners holds a handle.
template <class T>
auto find_handle(const std::set<std::unique_ptr<T>>& owners, const T* handle) {
  auto at = owners.begin();
  while (at != owners.end() && at->get() != handle) ++at;
  return at;
}

/// A stream of the current context, default streams included, or null with the error noted.
CUstream_st* stream_of(State& all, CUstream handle);
bool is_function(const State& all, CUfunction function);

template <class F>
void each_stream(CUctx_st& context, F f) {
  f(context.legacy_stream);
  f(context.thread_stream);
  for (const auto& stream : context.streams) f(*stream);
}

}  // namespace emulator::driver

#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))
