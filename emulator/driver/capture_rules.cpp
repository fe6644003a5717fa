// What may not be called while streams are captured.
#include <utility>

#include "driver/capture.h"
#include "driver/state.h"

namespace emulator::driver {
namespace {

/// Invalidates all captures that `is_hurt` names.
template <class F>
CUresult refuse(State& all, CUresult error, const char* why, F is_hurt) {
  bool any = false;
  for (Capture* const capture : all.captures) {
    if (!is_hurt(*capture)) continue;
    capture->invalid = true;
    any = true;
  }
  return any ? fail(error, why) : CUDA_SUCCESS;
}

CUstreamCaptureMode& mode_of_thread() {
  thread_local CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  return mode;
}

}  // namespace

CUresult refuse_unsafe(State& all) {
  const auto here = std::this_thread::get_id();
  const CUstreamCaptureMode mode = mode_of_thread();
  if (mode == CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  return refuse(all, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the call is not permitted while a stream is captured",
                [&](const Capture& capture) {
                  if (capture.thread == here) return capture.mode != CU_STREAM_CAPTURE_MODE_RELAXED;
                  return mode == CU_STREAM_CAPTURE_MODE_GLOBAL && capture.mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
                });
}

CUresult refuse_legacy_stream(State& all) {
  return refuse(all, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the legacy stream would depend on a captured blocking stream",
                [&](const Capture& capture) {
                  bool blocking = false;
                  each_stream(*all.here, [&](const CUstream_st& stream) {
                    blocking |= stream.blocking && stream.captured.by.get() == &capture;
                  });
                  return blocking;
                });
}

CUresult refuse_waiting_for_context(State& all) {
  return refuse(all, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "a context with a captured stream cannot be waited for",
                [&](const Capture& capture) { return capture.context == all.here; });
}

CUresult refuse_waiting_for_stream(State& all, CUstream_st& stream) {
  if (stream.captured.by != nullptr) {
    return invalidate(*stream.captured.by, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                      "a stream cannot be waited for or asked while it is captured");
  }
  if (&stream == &all.here->legacy_stream) {
    if (const CUresult bad = refuse_legacy_stream(all)) return bad;
  }
  return refuse_unsafe(all);
}

}  // namespace emulator::driver

using namespace emulator::driver;

EMULATOR_EXPORT CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  if (mode == nullptr || *mode < CU_STREAM_CAPTURE_MODE_GLOBAL || *mode > CU_STREAM_CAPTURE_MODE_RELAXED)
    return CUDA_ERROR_INVALID_VALUE;
  std::swap(*mode, mode_of_thread());
  return CUDA_SUCCESS;
}
