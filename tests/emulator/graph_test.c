/* Stream capture and graphs as the driver's documentation has them: what becomes a node, what a fork and a join are,
 * and which calls fail and spoil the capture. */
#include "driver/abi.h"
#include "driver_calls.h"

ENTRY(CUresult, cuInit, unsigned int);
ENTRY(CUresult, cuDevicePrimaryCtxRetain, CUcontext*, CUdevice);
ENTRY(CUresult, cuCtxSetCurrent, CUcontext);
ENTRY(CUresult, cuCtxSynchronize, void);
ENTRY(CUresult, cuModuleLoadData, CUmodule*, const void*);
ENTRY(CUresult, cuModuleGetFunction, CUfunction*, CUmodule, const char*);
ENTRY(CUresult, cuMemAlloc_v2, CUdeviceptr*, size_t);
ENTRY(CUresult, cuMemFree_v2, CUdeviceptr);
ENTRY(CUresult, cuMemcpyHtoD_v2, CUdeviceptr, const void*, size_t);
ENTRY(CUresult, cuMemcpyDtoH_v2, void*, CUdeviceptr, size_t);
ENTRY(CUresult, cuMemcpyHtoDAsync_v2, CUdeviceptr, const void*, size_t, CUstream);
ENTRY(CUresult, cuMemcpyDtoDAsync_v2, CUdeviceptr, CUdeviceptr, size_t, CUstream);
ENTRY(CUresult, cuMemsetD32Async, CUdeviceptr, unsigned int, size_t, CUstream);
ENTRY(CUresult, cuStreamCreate, CUstream*, unsigned int);
ENTRY(CUresult, cuStreamDestroy_v2, CUstream);
ENTRY(CUresult, cuStreamSynchronize, CUstream);
ENTRY(CUresult, cuStreamQuery, CUstream);
ENTRY(CUresult, cuStreamWaitEvent, CUstream, CUevent, unsigned int);
ENTRY(CUresult, cuStreamBeginCapture_v2, CUstream, CUstreamCaptureMode);
ENTRY(CUresult, cuStreamEndCapture, CUstream, CUgraph*);
ENTRY(CUresult, cuStreamIsCapturing, CUstream, CUstreamCaptureStatus*);
ENTRY(CUresult, cuStreamGetCaptureInfo_v2, CUstream, CUstreamCaptureStatus*, uint64_t*, CUgraph*, const CUgraphNode**,
      size_t*);
ENTRY(CUresult, cuThreadExchangeStreamCaptureMode, CUstreamCaptureMode*);
ENTRY(CUresult, cuEventCreate, CUevent*, unsigned int);
ENTRY(CUresult, cuEventRecord, CUevent, CUstream);
ENTRY(CUresult, cuEventRecordWithFlags, CUevent, CUstream, unsigned int);
ENTRY(CUresult, cuEventQuery, CUevent);
ENTRY(CUresult, cuEventSynchronize, CUevent);
ENTRY(CUresult, cuGraphInstantiateWithFlags, CUgraphExec*, CUgraph, unsigned long long);
ENTRY(CUresult, cuGraphInstantiateWithParams, CUgraphExec*, CUgraph, CUgraphInstantiateParams*);
ENTRY(CUresult, cuGraphLaunch, CUgraphExec, CUstream);
ENTRY(CUresult, cuGraphExecDestroy, CUgraphExec);
ENTRY(CUresult, cuGraphDestroy, CUgraph);
ENTRY(CUresult, cuGraphGetNodes, CUgraph, CUgraphNode*, size_t*);
ENTRY(CUresult, cuGraphNodeGetType, CUgraphNode, CUgraphNodeType*);
ENTRY(CUresult, cuLaunchKernel, CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
      CUstream, void**, void**);
ENTRY(CUresult, cuGetProcAddress_v2, const char*, void**, int, uint64_t, int*);

static void load_entries(void) {
  LOAD(cuInit);
  LOAD(cuDevicePrimaryCtxRetain);
  LOAD(cuCtxSetCurrent);
  LOAD(cuCtxSynchronize);
  LOAD(cuModuleLoadData);
  LOAD(cuModuleGetFunction);
  LOAD(cuMemAlloc_v2);
  LOAD(cuMemFree_v2);
  LOAD(cuMemcpyHtoD_v2);
  LOAD(cuMemcpyDtoH_v2);
  LOAD(cuMemcpyHtoDAsync_v2);
  LOAD(cuMemcpyDtoDAsync_v2);
  LOAD(cuMemsetD32Async);
  LOAD(cuStreamCreate);
  LOAD(cuStreamDestroy_v2);
  LOAD(cuStreamSynchronize);
  LOAD(cuStreamQuery);
  LOAD(cuStreamWaitEvent);
  LOAD(cuStreamBeginCapture_v2);
  LOAD(cuStreamEndCapture);
  LOAD(cuStreamIsCapturing);
  LOAD(cuStreamGetCaptureInfo_v2);
  LOAD(cuThreadExchangeStreamCaptureMode);
  LOAD(cuEventCreate);
  LOAD(cuEventRecord);
  LOAD(cuEventRecordWithFlags);
  LOAD(cuEventQuery);
  LOAD(cuEventSynchronize);
  LOAD(cuGraphInstantiateWithFlags);
  LOAD(cuGraphInstantiateWithParams);
  LOAD(cuGraphLaunch);
  LOAD(cuGraphExecDestroy);
  LOAD(cuGraphDestroy);
  LOAD(cuGraphGetNodes);
  LOAD(cuGraphNodeGetType);
  LOAD(cuLaunchKernel);
  LOAD(cuGetProcAddress_v2);
}

/* to[0] = to[0] * 3 + add */
static const char kModule[] =
    ".version 8.8\n.target sm_90a\n.address_size 64\n"
    ".visible .entry step(.param .u64 to, .param .u32 add) {\n"
    "  .reg .b32 %r<3>; .reg .b64 %d;\n"
    "  ld.param.u64 %d, [to];\n"
    "  ld.param.u32 %r1, [add];\n"
    "  ld.global.u32 %r0, [%d];\n"
    "  mad.lo.u32 %r0, %r0, 3, %r1;\n"
    "  st.global.u32 [%d], %r0;\n"
    "  ret;\n"
    "}\n";

static CUfunction step;
static CUstream stream, other, blocking; /* `blocking` waits for the legacy stream */
static CUdeviceptr cell;

static CUresult launch(CUdeviceptr to, uint32_t add, CUstream where) {
  void* parameters[] = {&to, &add};
  return cuLaunchKernel_(step, 1, 1, 1, 1, 1, 1, 0, where, parameters, NULL);
}

static uint32_t value_at(CUdeviceptr address) {
  uint32_t value = 0;
  EXPECT(CUDA_SUCCESS, cuMemcpyDtoH_v2_(&value, address, sizeof(value)));
  return value;
}
static void set(CUdeviceptr address, uint32_t value) {
  EXPECT(CUDA_SUCCESS, cuMemcpyHtoD_v2_(address, &value, sizeof(value)));
}

static CUstreamCaptureStatus status_of(CUstream of) {
  CUstreamCaptureStatus status = -1;
  EXPECT(CUDA_SUCCESS, cuStreamIsCapturing_(of, &status));
  return status;
}

static void set_up(void) {
  CUcontext context = NULL;
  CUmodule module = NULL;
  EXPECT(CUDA_SUCCESS, cuInit_(0));
  EXPECT(CUDA_SUCCESS, cuDevicePrimaryCtxRetain_(&context, 0));
  EXPECT(CUDA_SUCCESS, cuCtxSetCurrent_(context));
  EXPECT(CUDA_SUCCESS, cuModuleLoadData_(&module, kModule));
  EXPECT(CUDA_SUCCESS, cuModuleGetFunction_(&step, module, "step"));
  EXPECT(CUDA_SUCCESS, cuStreamCreate_(&stream, CU_STREAM_NON_BLOCKING));
  EXPECT(CUDA_SUCCESS, cuStreamCreate_(&other, CU_STREAM_NON_BLOCKING));
  EXPECT(CUDA_SUCCESS, cuStreamCreate_(&blocking, 0));
  EXPECT(CUDA_SUCCESS, cuMemAlloc_v2_(&cell, 16));
}

/* Nothing runs while it is captured; parameters are those of the capture, memory is what it is at each launch. */
static void captures_and_replays(void) {
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  CUgraphInstantiateParams parameters = {0, NULL, NULL, 7};
  CUgraphNode nodes[8];
  CUgraphNodeType type = -1;
  size_t count = 0;
  uint32_t source = 5;
  set(cell, 1);
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CHECK(status_of(stream) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  EXPECT(CUDA_SUCCESS, cuMemcpyHtoDAsync_v2_(cell, &source, 4, stream));
  EXPECT(CUDA_SUCCESS, launch(cell, 1, stream));
  EXPECT(CUDA_SUCCESS, cuMemcpyDtoDAsync_v2_(cell + 4, cell, 4, stream));
  EXPECT(CUDA_SUCCESS, cuMemsetD32Async_(cell + 8, 9, 1, stream));
  EXPECT(CUDA_SUCCESS, cuStreamEndCapture_(stream, &graph));
  CHECK(status_of(stream) == CU_STREAM_CAPTURE_STATUS_NONE);
  CHECK(value_at(cell) == 1);
  EXPECT(CUDA_SUCCESS, cuGraphGetNodes_(graph, NULL, &count));
  CHECK(count == 4);
  count = 8;
  EXPECT(CUDA_SUCCESS, cuGraphGetNodes_(graph, nodes, &count));
  CHECK(count == 4 && nodes[4] == NULL);
  const CUgraphNodeType expected[] = {CU_GRAPH_NODE_TYPE_MEMCPY, CU_GRAPH_NODE_TYPE_KERNEL, CU_GRAPH_NODE_TYPE_MEMCPY,
                                      CU_GRAPH_NODE_TYPE_MEMSET};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT(CUDA_SUCCESS, cuGraphNodeGetType_(nodes[i], &type));
    CHECK(type == expected[i]);
  }
  EXPECT(CUDA_SUCCESS, cuGraphInstantiateWithParams_(&exec, graph, &parameters));
  CHECK(parameters.result_out == 0);
  EXPECT(CUDA_SUCCESS, cuGraphDestroy_(graph));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy_(graph));
  EXPECT(CUDA_SUCCESS, cuGraphLaunch_(exec, stream));
  CHECK(value_at(cell) == 16 && value_at(cell + 4) == 16 && value_at(cell + 8) == 9);
  source = 7;
  EXPECT(CUDA_SUCCESS, cuGraphLaunch_(exec, NULL));
  CHECK(value_at(cell) == 22 && value_at(cell + 4) == 22);
  EXPECT(CUDA_SUCCESS, cuGraphExecDestroy_(exec));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch_(exec, stream));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphExecDestroy_(exec));
}

/* `other` takes part after it has waited for an event of `stream`, and must be waited for in turn. */
static void forks_and_joins(void) {
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  CUevent fork = NULL, join = NULL;
  CUstreamCaptureStatus status = 0;
  uint64_t id = 0, id_of_other = 0;
  CUgraph capturing = NULL;
  const CUgraphNode* dependencies = NULL;
  size_t count = 0;
  EXPECT(CUDA_SUCCESS, cuEventCreate_(&fork, 0));
  EXPECT(CUDA_SUCCESS, cuEventCreate_(&join, 0));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_SUCCESS, launch(cell, 1, stream));
  EXPECT(CUDA_SUCCESS, cuEventRecord_(fork, stream));
  EXPECT(CUDA_SUCCESS, cuStreamWaitEvent_(other, fork, 0));
  EXPECT(CUDA_SUCCESS, launch(cell + 4, 2, other));
  EXPECT(CUDA_SUCCESS, launch(cell + 8, 3, stream));
  EXPECT(CUDA_SUCCESS, cuEventRecord_(join, other));
  EXPECT(CUDA_SUCCESS, cuStreamWaitEvent_(stream, join, 0));
  EXPECT(CUDA_SUCCESS, cuStreamGetCaptureInfo_v2_(stream, &status, &id, &capturing, &dependencies, &count));
  CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE && capturing != NULL && count == 2 && dependencies != NULL);
  EXPECT(CUDA_SUCCESS, cuStreamGetCaptureInfo_v2_(other, &status, &id_of_other, NULL, NULL, NULL));
  CHECK(id != 0 && id == id_of_other);
  EXPECT(CUDA_SUCCESS, launch(cell, 4, stream));
  EXPECT(CUDA_SUCCESS, cuStreamEndCapture_(stream, &graph));
  CHECK(status_of(other) == CU_STREAM_CAPTURE_STATUS_NONE);
  EXPECT(CUDA_SUCCESS, cuGraphInstantiateWithFlags_(&exec, graph, 0));
  for (uint32_t i = 0; i < 3; ++i) set(cell + 4 * i, 0);
  EXPECT(CUDA_SUCCESS, cuGraphLaunch_(exec, stream));
  CHECK(value_at(cell) == 7 && value_at(cell + 4) == 2 && value_at(cell + 8) == 3);

  /* A graph that is launched into a captured stream becomes nodes of it. */
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_SUCCESS, cuGraphLaunch_(exec, stream));
  EXPECT(CUDA_SUCCESS, launch(cell + 8, 5, stream));
  CUgraph nested = NULL;
  EXPECT(CUDA_SUCCESS, cuStreamEndCapture_(stream, &nested));
  EXPECT(CUDA_SUCCESS, cuGraphGetNodes_(nested, NULL, &count));
  CHECK(count == 5);
  EXPECT(CUDA_SUCCESS, cuGraphExecDestroy_(exec));
  EXPECT(CUDA_SUCCESS, cuGraphInstantiateWithFlags_(&exec, nested, 0));
  EXPECT(CUDA_SUCCESS, cuGraphLaunch_(exec, stream));
  CHECK(value_at(cell) == 70 && value_at(cell + 4) == 8 && value_at(cell + 8) == 41);

  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_SUCCESS, cuEventRecord_(fork, stream));
  EXPECT(CUDA_SUCCESS, cuStreamWaitEvent_(other, fork, 0));
  EXPECT(CUDA_SUCCESS, launch(cell + 4, 2, other));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, cuStreamEndCapture_(stream, &graph));
  CHECK(graph == NULL);
}

static void begin_and_end(void) {
  CUgraph graph = NULL;
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamBeginCapture_v2_(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamBeginCapture_v2_(stream, 3));
  EXPECT(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture_(stream, &graph));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT(CUDA_ERROR_ILLEGAL_STATE, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT(CUDA_SUCCESS, cuStreamEndCapture_(stream, &graph));
  EXPECT(CUDA_SUCCESS, cuGraphDestroy_(graph));
}

enum { kCalls = 12 };
/* Calls that spoil a capture of `stream`, and their errors. */
static CUresult spoil(int call, CUresult* expected) {
  CUdeviceptr address = 0;
  CUmodule module = NULL;
  *expected = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  switch (call) {
    case 0:
      return cuMemAlloc_v2_(&address, 16);
    case 1:
      return cuMemFree_v2_(cell);
    case 2:
      return cuModuleLoadData_(&module, kModule);
    case 3:
      return cuStreamSynchronize_(stream);
    case 4:
      return cuStreamQuery_(stream);
    case 5:
      return cuCtxSynchronize_();
    case 6:
      return cuMemcpyDtoH_v2_(&address, cell, 4);
    case 7:
      return cuStreamSynchronize_(other);
    default:
      break;
  }
  static CUevent event, plain, apart;
  static int made = 0;
  if (!made++) {
    cuEventCreate_(&event, 0);
    cuEventCreate_(&plain, 0);
    cuEventCreate_(&apart, 0);
  }
  switch (call) {
    case 8:
      *expected = CUDA_ERROR_CAPTURED_EVENT;
      cuEventRecord_(event, stream);
      return cuEventQuery_(event);
    case 9:
      *expected = CUDA_ERROR_CAPTURED_EVENT;
      cuEventRecord_(event, stream);
      return cuEventSynchronize_(event);
    case 10:
      *expected = CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
      cuEventRecord_(plain, other);
      return cuStreamWaitEvent_(stream, plain, 0);
    default:
      *expected = CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
      cuEventRecord_(event, stream);
      cuStreamWaitEvent_(other, event, 0);
      CUgraph graph = NULL;
      return cuStreamEndCapture_(other, &graph);
  }
}

static void spoiled_captures(void) {
  CUgraph graph = NULL;
  for (int call = 0; call < kCalls; ++call) {
    CUresult expected = CUDA_SUCCESS;
    EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    const CUresult result = spoil(call, &expected);
    if (result != expected) fprintf(stderr, "call %d: %d, not %d\n", call, result, expected);
    CHECK(result == expected);
    CHECK(status_of(stream) == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, launch(cell, 1, stream));
    EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture_(stream, &graph));
    CHECK(graph == NULL);
    EXPECT(CUDA_SUCCESS, cuStreamSynchronize_(stream));
  }
}

/* The legacy stream waits for blocking streams, so that it cannot be used while one is captured. */
static void legacy_stream(void) {
  CUgraph graph = NULL;
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, launch(cell, 1, NULL));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture_(blocking, &graph));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuStreamSynchronize_(NULL));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture_(blocking, &graph));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT(CUDA_SUCCESS, launch(cell, 1, NULL));
  EXPECT(CUDA_SUCCESS, cuStreamEndCapture_(stream, &graph));
  EXPECT(CUDA_SUCCESS, cuGraphDestroy_(graph));
}

static void modes(void) {
  CUgraph graph = NULL;
  CUdeviceptr address = 0;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT(CUDA_SUCCESS, cuMemAlloc_v2_(&address, 16));
  EXPECT(CUDA_SUCCESS, cuMemFree_v2_(address));
  EXPECT(CUDA_SUCCESS, cuStreamEndCapture_(stream, &graph));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_SUCCESS, cuThreadExchangeStreamCaptureMode_(&mode));
  CHECK(mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
  EXPECT(CUDA_SUCCESS, cuMemAlloc_v2_(&address, 16));
  EXPECT(CUDA_SUCCESS, cuThreadExchangeStreamCaptureMode_(&mode));
  CHECK(mode == CU_STREAM_CAPTURE_MODE_RELAXED);
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuMemFree_v2_(address));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture_(stream, &graph));
  EXPECT(CUDA_SUCCESS, cuMemFree_v2_(address));
}

static void merges_and_lost_streams(void) {
  CUgraph graph = NULL;
  CUevent event = NULL;
  CUstream lost = NULL;
  EXPECT(CUDA_SUCCESS, cuEventCreate_(&event, 0));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(other, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_SUCCESS, cuEventRecord_(event, other));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_MERGE, cuStreamWaitEvent_(stream, event, 0));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture_(stream, &graph));
  EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture_(other, &graph));
  EXPECT(CUDA_ERROR_CAPTURED_EVENT, cuStreamWaitEvent_(stream, event, 0));
  EXPECT(CUDA_SUCCESS, cuEventRecord_(event, stream));
  EXPECT(CUDA_SUCCESS, cuEventSynchronize_(event));

  EXPECT(CUDA_SUCCESS, cuStreamCreate_(&lost, CU_STREAM_NON_BLOCKING));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(lost, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_SUCCESS, cuStreamDestroy_v2_(lost));
  EXPECT(CUDA_SUCCESS, cuCtxSynchronize_());
}

/* An event of the graph's own is a node; it is recorded when the graph is launched. */
static void external_events(void) {
  CUgraph graph = NULL;
  CUgraphNode node = NULL;
  CUgraphNodeType type = -1;
  size_t count = 1;
  CUevent event = NULL;
  EXPECT(CUDA_SUCCESS, cuEventCreate_(&event, 0));
  EXPECT(CUDA_SUCCESS, cuStreamBeginCapture_v2_(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT(CUDA_SUCCESS, cuEventRecordWithFlags_(event, stream, CU_EVENT_RECORD_EXTERNAL));
  EXPECT(CUDA_SUCCESS, cuStreamEndCapture_(stream, &graph));
  EXPECT(CUDA_SUCCESS, cuGraphGetNodes_(graph, &node, &count));
  EXPECT(CUDA_SUCCESS, cuGraphNodeGetType_(node, &type));
  CHECK(count == 1 && type == CU_GRAPH_NODE_TYPE_EVENT_RECORD);
}

static void names_by_version(void) {
  void* found = NULL;
  EXPECT(CUDA_SUCCESS, cuGetProcAddress_v2_("cuGraphInstantiate", &found, 12000, 0, NULL));
  CHECK(memcmp(&found, &cuGraphInstantiateWithFlags_, sizeof(found)) == 0);
  EXPECT(CUDA_SUCCESS, cuGetProcAddress_v2_("cuStreamGetCaptureInfo", &found, 12000, 0, NULL));
  CHECK(memcmp(&found, &cuStreamGetCaptureInfo_v2_, sizeof(found)) == 0);
  EXPECT(CUDA_SUCCESS, cuGetProcAddress_v2_("cuStreamGetCaptureInfo", &found, 13000, 0, NULL));
  CHECK(memcmp(&found, &cuStreamGetCaptureInfo_v2_, sizeof(found)) != 0);
}

int main(int argc, char** argv) {
  open_driver(argc, argv);
  load_entries();
  set_up();
  captures_and_replays();
  forks_and_joins();
  begin_and_end();
  spoiled_captures();
  legacy_stream();
  modes();
  merges_and_lost_streams();
  external_events();
  names_by_version();
  return failures == 0 ? 0 : 1;
}
