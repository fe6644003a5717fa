// Streams and events: everything is done when the call returns.
#include <chrono>

#include "driver/state.h"

using namespace emulator::driver;

namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

CUresult refuse_captured(CUevent_st& event) {
  event.captured.by->invalid = true;
  return fail(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a captured stream");
}

/// For calls on one event.
template <class F>
CUresult on_event(CUevent event, F body) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (find_handle(all.here->events, event) == all.here->events.end())
      return fail(CUDA_ERROR_INVALID_HANDLE, "that is no event");
    return body(all);
  });
}

CUresult wait_for_stream(CUstream handle) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    CUstream_st* const stream = stream_of(all, handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (const CUresult bad = refuse_waiting_for_stream(all, *stream)) return bad;
    all.here->before.clear();
    return CUDA_SUCCESS;
  });
}

CUresult wait_for_event(CUevent event) {
  return on_event(event, [&](State& all) -> CUresult {
    if (event->captured.by != nullptr) return refuse_captured(*event);
    if (const CUresult bad = refuse_unsafe(all)) return bad;
    all.here->before.clear();
    return CUDA_SUCCESS;
  });
}

}  // namespace

namespace emulator::driver {

CUresult perform_record(State& all, const RecordEvent& record) {
  if (find_handle(all.here->events, record.event) == all.here->events.end())
    return fail(CUDA_ERROR_INVALID_HANDLE, "the event of a graph's node has been destroyed");
  all.here->before.clear();
  record.event->recorded = true;
  record.event->time_ms = now_ms();
  record.event->captured = {};
  return CUDA_SUCCESS;
}

}  // namespace emulator::driver

EMULATOR_EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned int flags) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (stream == nullptr || flags > CU_STREAM_NON_BLOCKING)
      return fail(CUDA_ERROR_INVALID_VALUE, "the stream is null or the flags are not 0 or 1");
    *stream = all.here->streams.insert(std::make_unique<CUstream_st>()).first->get();
    (*stream)->blocking = flags != CU_STREAM_NON_BLOCKING;
    return CUDA_SUCCESS;
  });
}
/// All priorities are one: streams run at once what they are given.
EMULATOR_EXPORT CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned int flags, int) {
  return cuStreamCreate(stream, flags);
}

EMULATOR_EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    const auto found = find_handle(all.here->streams, stream);
    if (found == all.here->streams.end()) return fail(CUDA_ERROR_INVALID_HANDLE, "that is no stream");
    forget_stream(*stream);
    all.here->streams.erase(found);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuStreamSynchronize(CUstream stream) {
  return wait_for_stream(stream);
}
EMULATOR_EXPORT CUresult cuStreamQuery(CUstream stream) {
  return wait_for_stream(stream);
}

EMULATOR_EXPORT CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned int flags) {
  return on_event(event, [&](State& all) -> CUresult {
    if (flags > CU_EVENT_WAIT_EXTERNAL) return fail(CUDA_ERROR_INVALID_VALUE, "the flags are not 0 or 1");
    CUstream_st* const stream = stream_of(all, handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->captured.by != nullptr && flags == CU_EVENT_WAIT_EXTERNAL) return capture_work(*stream, Nothing{});
    const bool captured = stream->captured.by != nullptr || event->captured.by != nullptr;
    if (captured) return capture_wait(*stream, *event);
    all.here->before.clear();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuEventCreate(CUevent* event, unsigned int) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (event == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *event = all.here->events.insert(std::make_unique<CUevent_st>()).first->get();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuEventDestroy_v2(CUevent event) {
  return on_event(event, [&](State& all) -> CUresult {
    all.here->events.erase(find_handle(all.here->events, event));
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuEventRecordWithFlags(CUevent event, CUstream handle, unsigned int flags) {
  return on_event(event, [&](State& all) -> CUresult {
    if (flags > CU_EVENT_RECORD_EXTERNAL) return fail(CUDA_ERROR_INVALID_VALUE, "the flags are not 0 or 1");
    CUstream_st* const stream = stream_of(all, handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->captured.by != nullptr && flags != CU_EVENT_RECORD_EXTERNAL) return capture_record(*stream, *event);
    return submit(all, handle, RecordEvent{event});
  });
}
EMULATOR_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  return cuEventRecordWithFlags(event, stream, 0);
}

EMULATOR_EXPORT CUresult cuEventSynchronize(CUevent event) {
  return wait_for_event(event);
}
EMULATOR_EXPORT CUresult cuEventQuery(CUevent event) {
  return wait_for_event(event);
}

/// The emulator's own time, which says nothing about a GPU's.
EMULATOR_EXPORT CUresult cuEventElapsedTime_v2(float* ms, CUevent start, CUevent end) {
  return on_event(start, [&](State& all) -> CUresult {
    if (ms == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (find_handle(all.here->events, end) == all.here->events.end())
      return fail(CUDA_ERROR_INVALID_HANDLE, "that is no event");
    for (const CUevent event : {start, end}) {
      if (event->captured.by != nullptr) return refuse_captured(*event);
    }
    if (!start->recorded || !end->recorded) return fail(CUDA_ERROR_INVALID_HANDLE, "an event has not been recorded");
    *ms = static_cast<float>(end->time_ms - start->time_ms);
    return CUDA_SUCCESS;
  });
}
EMULATOR_EXPORT CUresult cuEventElapsedTime(float* ms, CUevent start, CUevent end) {
  return cuEventElapsedTime_v2(ms, start, end);
}
