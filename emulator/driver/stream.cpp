// Streams and events: everything is done when the call returns.
#include <chrono>

#include "driver/state.h"

using namespace emulator::driver;

namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

CUresult need_stream(const State& all, CUstream stream) {
  return is_stream(all, stream) ? CUDA_SUCCESS : fail(CUDA_ERROR_INVALID_HANDLE, "that is no stream");
}

/// For calls on one event.
template <class F>
CUresult on_event(CUevent event, F body) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (find_handle(all.events, event) == all.events.end()) return fail(CUDA_ERROR_INVALID_HANDLE, "that is no event");
    return body(all);
  });
}

}  // namespace

EMULATOR_EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned int flags) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (stream == nullptr || flags > 1)
      return fail(CUDA_ERROR_INVALID_VALUE, "the stream is null or the flags are not 0 or 1");
    *stream = all.streams.insert(std::make_unique<CUstream_st>()).first->get();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    const auto found = find_handle(all.streams, stream);
    if (found == all.streams.end()) return fail(CUDA_ERROR_INVALID_HANDLE, "that is no stream");
    all.streams.erase(found);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuStreamSynchronize(CUstream stream) {
  return enter(Needs::context, [&](State& all) {
    all.before.clear();
    return need_stream(all, stream);
  });
}
EMULATOR_EXPORT CUresult cuStreamQuery(CUstream stream) {
  return enter(Needs::context, [&](State& all) { return need_stream(all, stream); });
}

EMULATOR_EXPORT CUresult cuStreamIsCapturing(CUstream stream, int* status) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult bad = need_stream(all, stream)) return bad;
    *status = 0;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int) {
  return on_event(event, [&](State& all) {
    all.before.clear();
    return need_stream(all, stream);
  });
}

EMULATOR_EXPORT CUresult cuEventCreate(CUevent* event, unsigned int) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (event == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *event = all.events.insert(std::make_unique<CUevent_st>()).first->get();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuEventDestroy_v2(CUevent event) {
  return on_event(event, [&](State& all) -> CUresult {
    all.events.erase(find_handle(all.events, event));
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  return on_event(event, [&](State& all) -> CUresult {
    if (const CUresult bad = need_stream(all, stream)) return bad;
    all.before.clear();
    event->recorded = true;
    event->time_ms = now_ms();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuEventSynchronize(CUevent event) {
  return on_event(event, [](State& all) -> CUresult {
    all.before.clear();
    return CUDA_SUCCESS;
  });
}
EMULATOR_EXPORT CUresult cuEventQuery(CUevent event) {
  return on_event(event, [](State&) -> CUresult { return CUDA_SUCCESS; });
}

/// The emulator's own time, which says nothing about a GPU's.
EMULATOR_EXPORT CUresult cuEventElapsedTime_v2(float* ms, CUevent start, CUevent end) {
  return on_event(start, [&](State& all) -> CUresult {
    if (ms == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (find_handle(all.events, end) == all.events.end()) return fail(CUDA_ERROR_INVALID_HANDLE, "that is no event");
    if (!start->recorded || !end->recorded) return fail(CUDA_ERROR_INVALID_HANDLE, "an event has not been recorded");
    *ms = static_cast<float>(end->time_ms - start->time_ms);
    return CUDA_SUCCESS;
  });
}
EMULATOR_EXPORT CUresult cuEventElapsedTime(float* ms, CUevent start, CUevent end) {
  return cuEventElapsedTime_v2(ms, start, end);
}
