#include "driver/capture.h"

#include <algorithm>
#include <set>

#include "driver/state.h"

namespace emulator::driver {
namespace {

void add_leaves(std::vector<CUgraphNode>& to, const std::vector<CUgraphNode>& from) {
  for (const CUgraphNode leaf : from) {
    if (std::find(to.begin(), to.end(), leaf) == to.end()) to.push_back(leaf);
  }
}

/// Whether every node is `origin`'s last work or something that it waits for.
bool all_joined(const Capture& capture) {
  std::set<CUgraphNode> reached;
  std::vector<CUgraphNode> open = capture.origin->captured.leaves;
  while (!open.empty()) {
    const CUgraphNode node = open.back();
    open.pop_back();
    if (!reached.insert(node).second) continue;
    open.insert(open.end(), node->dependencies.begin(), node->dependencies.end());
  }
  return reached.size() == capture.graph->nodes.size();
}

/// Its streams are plain streams again.
void end(State& all, Capture& capture) {
  capture.active = false;
  all.captures.erase(&capture);
  each_stream(*capture.context, [&](CUstream_st& stream) {
    if (stream.captured.by.get() == &capture) stream.captured = {};
  });
}

CUresult begin(State& all, CUstream handle, CUstreamCaptureMode mode) {
  if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
    return fail(CUDA_ERROR_INVALID_VALUE, "that is no capture mode");
  CUstream_st* const stream = stream_of(all, handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (stream == &all.here->legacy_stream)
    return fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the legacy stream cannot be captured");
  if (stream->captured.by != nullptr) return fail(CUDA_ERROR_ILLEGAL_STATE, "the stream is being captured already");
  const auto capture = std::make_shared<Capture>();
  capture->id = ++all.last_capture_id;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->context = all.here;
  capture->origin = stream;
  stream->captured.by = capture;
  all.captures.insert(capture.get());
  return CUDA_SUCCESS;
}

CUresult end(State& all, CUstream handle, CUgraph* graph) {
  if (graph == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the graph is null");
  *graph = nullptr;
  CUstream_st* const stream = stream_of(all, handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const std::shared_ptr<Capture> capture = stream->captured.by;
  if (capture == nullptr) return fail(CUDA_ERROR_ILLEGAL_STATE, "the stream is not being captured");
  if (capture->origin != stream)
    return invalidate(*capture, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture began in another stream");
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id())
    return fail(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture began in another thread");
  const bool joined = all_joined(*capture);
  end(all, *capture);
  if (capture->invalid)
    return fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the capture has been invalidated by an earlier call");
  if (!joined)
    return fail(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "the capture has work that the first stream has not waited for");
  *graph = all.graphs.insert(std::move(capture->graph)).first->get();
  return CUDA_SUCCESS;
}

CUstreamCaptureStatus status_of(const CUstream_st& stream) {
  const Capture* const capture = stream.captured.by.get();
  if (capture == nullptr) return CU_STREAM_CAPTURE_STATUS_NONE;
  return capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

CUresult describe(CUstream handle, CUstreamCaptureStatus* status, uint64_t* id, CUgraph* graph,
                  const CUgraphNode** dependencies, size_t* count) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (status == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the status is null");
    CUstream_st* const stream = stream_of(all, handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (stream == &all.here->legacy_stream) {
      if (const CUresult bad = refuse_legacy_stream(all)) return bad;
    }
    *status = status_of(*stream);
    if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return CUDA_SUCCESS;
    const Captured& captured = stream->captured;
    if (id != nullptr) *id = captured.by->id;
    if (graph != nullptr) *graph = captured.by->graph.get();
    if (dependencies != nullptr) *dependencies = captured.leaves.data();
    if (count != nullptr) *count = captured.leaves.size();
    return CUDA_SUCCESS;
  });
}

}  // namespace

CUresult invalidate(Capture& capture, CUresult error, const char* why) {
  capture.invalid = true;
  return fail(error, why);
}

CUresult capture_work(CUstream_st& stream, Work work) {
  Capture& capture = *stream.captured.by;
  if (capture.invalid)
    return fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the stream's capture has been invalidated by an earlier call");
  auto node = std::make_unique<CUgraphNode_st>();
  node->work = std::move(work);
  node->dependencies = std::move(stream.captured.leaves);
  stream.captured.leaves = {node.get()};
  capture.graph->nodes.push_back(std::move(node));
  return CUDA_SUCCESS;
}

CUresult capture_record(CUstream_st& stream, CUevent_st& event) {
  if (stream.captured.by->invalid)
    return fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the stream's capture has been invalidated by an earlier call");
  event.captured = stream.captured;
  return CUDA_SUCCESS;
}

CUresult capture_wait(CUstream_st& stream, const CUevent_st& event) {
  const std::shared_ptr<Capture>& from = event.captured.by;
  const std::shared_ptr<Capture>& into = stream.captured.by;
  if (from == nullptr) {
    return invalidate(*into, CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                      "a captured stream would wait for an event that was recorded outside of the capture");
  }
  if (!from->active) return fail(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a capture that has ended");
  if (from->invalid)
    return fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the event's capture has been invalidated by an earlier call");
  if (into != nullptr && into != from) {
    invalidate(*from, CUDA_ERROR_STREAM_CAPTURE_MERGE, "");
    return invalidate(*into, CUDA_ERROR_STREAM_CAPTURE_MERGE, "the stream and the event belong to different captures");
  }
  stream.captured.by = from;
  add_leaves(stream.captured.leaves, event.captured.leaves);
  return CUDA_SUCCESS;
}

void forget_stream(CUstream_st& stream) {
  if (stream.captured.by == nullptr) return;
  State& all = state();
  Capture& capture = *stream.captured.by;
  capture.invalid = true;
  if (capture.origin == &stream) {
    const std::shared_ptr<Capture> kept = stream.captured.by;
    end(all, capture);
  }
}

void end_captures_of(State& all, const CUctx_st& context) {
  const std::set<Capture*> captures = all.captures;
  for (Capture* const capture : captures) {
    if (capture->context != &context) continue;
    const std::shared_ptr<Capture> kept = capture->origin->captured.by;
    capture->invalid = true;
    end(all, *capture);
  }
}

}  // namespace emulator::driver

using namespace emulator::driver;

EMULATOR_EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return enter(Needs::context, [&](State& all) { return begin(all, stream, mode); });
}

EMULATOR_EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  return enter(Needs::context, [&](State& all) { return end(all, stream, graph); });
}

EMULATOR_EXPORT CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  return describe(stream, status, nullptr, nullptr, nullptr, nullptr);
}
EMULATOR_EXPORT CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id) {
  return describe(stream, status, id, nullptr, nullptr, nullptr);
}
EMULATOR_EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id,
                                                   CUgraph* graph, const CUgraphNode** dependencies, size_t* count) {
  return describe(stream, status, id, graph, dependencies, count);
}
/// Edges have no data here: every one waits for all of what is before it.
EMULATOR_EXPORT CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id,
                                                   CUgraph* graph, const CUgraphNode** dependencies, const void** edges,
                                                   size_t* count) {
  if (edges != nullptr) *edges = nullptr;
  return describe(stream, status, id, graph, dependencies, count);
}
