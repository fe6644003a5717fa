// Streams, events and graphs: the driver's own.
#include "runtime/runtime.h"

using namespace emulator::runtime;

EMULATOR_EXPORT int cudaStreamCreateWithFlags(CUstream* stream, unsigned int flags) {
  return call([&] { return cuStreamCreate(stream, flags); });
}
EMULATOR_EXPORT int cudaStreamCreate(CUstream* stream) {
  return cudaStreamCreateWithFlags(stream, 0);
}
EMULATOR_EXPORT int cudaStreamDestroy(CUstream stream) {
  return call([&] { return cuStreamDestroy_v2(stream); });
}
EMULATOR_EXPORT int cudaStreamSynchronize(CUstream stream) {
  return call([&] { return cuStreamSynchronize(stream); });
}
EMULATOR_EXPORT int cudaStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags) {
  return call([&] { return cuStreamWaitEvent(stream, event, flags); });
}
EMULATOR_EXPORT int cudaStreamBeginCapture(CUstream stream, int mode) {
  return call([&] { return cuStreamBeginCapture_v2(stream, mode); });
}
EMULATOR_EXPORT int cudaStreamEndCapture(CUstream stream, CUgraph* graph) {
  return call([&] { return cuStreamEndCapture(stream, graph); });
}
EMULATOR_EXPORT int cudaStreamIsCapturing(CUstream stream, int* status) {
  return call([&] { return cuStreamIsCapturing(stream, status); });
}

EMULATOR_EXPORT int cudaEventCreateWithFlags(CUevent* event, unsigned int flags) {
  return call([&] { return cuEventCreate(event, flags); });
}
EMULATOR_EXPORT int cudaEventCreate(CUevent* event) {
  return cudaEventCreateWithFlags(event, 0);
}
EMULATOR_EXPORT int cudaEventDestroy(CUevent event) {
  return call([&] { return cuEventDestroy_v2(event); });
}
EMULATOR_EXPORT int cudaEventRecord(CUevent event, CUstream stream) {
  return call([&] { return cuEventRecord(event, stream); });
}
EMULATOR_EXPORT int cudaEventSynchronize(CUevent event) {
  return call([&] { return cuEventSynchronize(event); });
}
EMULATOR_EXPORT int cudaEventElapsedTime(float* ms, CUevent start, CUevent end) {
  return call([&] { return cuEventElapsedTime_v2(ms, start, end); });
}

EMULATOR_EXPORT int cudaGraphInstantiate(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  return call([&] { return cuGraphInstantiateWithFlags(exec, graph, flags); });
}
EMULATOR_EXPORT int cudaGraphLaunch(CUgraphExec exec, CUstream stream) {
  return call([&] { return cuGraphLaunch(exec, stream); });
}
EMULATOR_EXPORT int cudaGraphDestroy(CUgraph graph) {
  return call([&] { return cuGraphDestroy(graph); });
}
EMULATOR_EXPORT int cudaGraphExecDestroy(CUgraphExec exec) {
  return call([&] { return cuGraphExecDestroy(exec); });
}
