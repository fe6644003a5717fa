// Stream capture: streams whose work becomes a graph, and what may not be called meanwhile (CUDA driver API, section
// Stream Management, cuStreamBeginCapture and cuThreadExchangeStreamCaptureMode).
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "driver/graph.h"

namespace emulator::driver {

struct Capture {
  uint64_t id = 0;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id thread;
  CUctx_st* context = nullptr;
  CUstream_st* origin = nullptr;
  std::unique_ptr<CUgraph_st> graph = std::make_unique<CUgraph_st>();
  bool active = true;  // until it ends
  bool invalid = false;
};

/// Where a stream or an event stands in a capture.
struct Captured {
  std::shared_ptr<Capture> by;
  std::vector<CUgraphNode> leaves;  // what comes next waits for these
};

/// Adds work to a stream that is being captured.
CUresult capture_work(CUstream_st& stream, Work work);
/// An event that is recorded, or waited for, where the stream or the event belongs to a capture.
CUresult capture_record(CUstream_st& stream, CUevent_st& event);
CUresult capture_wait(CUstream_st& stream, const CUevent_st& event);

/// The error of a call that may break a capture (allocation, loading, copies that wait), where a capture forbids such
/// calls to this thread; the capture is invalid then.
CUresult refuse_unsafe(State& all);
/// The same where the legacy stream, which waits for all blocking streams, would have to wait for a captured one.
CUresult refuse_legacy_stream(State& all);
/// The same for a call that waits for the whole context.
CUresult refuse_waiting_for_context(State& all);
/// The same for a call that waits for a stream.
CUresult refuse_waiting_for_stream(State& all, CUstream_st& stream);

/// Notes why a capture is of no use any more.
CUresult invalidate(Capture& capture, CUresult error, const char* why);

/// Takes a stream that goes away out of its capture, which is invalid then.
void forget_stream(CUstream_st& stream);
void end_captures_of(State& all, const CUctx_st& context);

}  // namespace emulator::driver
