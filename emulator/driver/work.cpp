#include "driver/work.h"

#include <utility>

#include "driver/state.h"

namespace emulator::driver {

CUgraphNodeType type_of(const Work& work) {
  constexpr CUgraphNodeType kTypes[] = {CU_GRAPH_NODE_TYPE_EMPTY, CU_GRAPH_NODE_TYPE_KERNEL, CU_GRAPH_NODE_TYPE_MEMCPY,
                                        CU_GRAPH_NODE_TYPE_MEMSET, CU_GRAPH_NODE_TYPE_EVENT_RECORD};
  return kTypes[work.index()];
}

CUresult perform(State& all, const Work& work) {
  struct {
    State& all;
    CUresult operator()(const Nothing&) const { return CUDA_SUCCESS; }
    CUresult operator()(const Launch& launch) const { return perform_launch(all, launch); }
    CUresult operator()(const Copy& copy) const { return perform_copy(all, copy); }
    CUresult operator()(const Fill& fill) const { return perform_fill(all, fill); }
    CUresult operator()(const RecordEvent& record) const { return perform_record(all, record); }
  } const performer{all};
  return std::visit(performer, work);
}

CUresult submit(State& all, CUstream handle, Work work) {
  CUstream_st* const stream = stream_of(all, handle);
  if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->captured.by != nullptr) return capture_work(*stream, std::move(work));
  if (stream == &all.here->legacy_stream) {
    if (const CUresult bad = refuse_legacy_stream(all)) return bad;
  }
  return perform(all, work);
}

}  // namespace emulator::driver
