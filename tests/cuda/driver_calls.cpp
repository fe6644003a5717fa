#include "driver_calls.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace flash_mla::test {
namespace {

template <class F>
void load(void* library, const char* name, F*& entry) {
  entry = reinterpret_cast<F*>(dlsym(library, name));
  if (entry != nullptr) return;
  std::fprintf(stderr, "the driver has no %s\n", name);
  std::exit(1);
}

DriverCalls load_all() {
  const char* const name = std::getenv("FLASH_MLA_CUDA_DRIVER");
  void* const library = dlopen(name != nullptr ? name : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  DriverCalls calls{};
  load(library, "cuStreamCreate", calls.stream_create);
  load(library, "cuStreamDestroy_v2", calls.stream_destroy);
  load(library, "cuStreamBeginCapture_v2", calls.begin_capture);
  load(library, "cuStreamEndCapture", calls.end_capture);
  load(library, "cuGraphInstantiateWithFlags", calls.instantiate);
  load(library, "cuGraphLaunch", calls.graph_launch);
  load(library, "cuGraphGetNodes", calls.graph_nodes);
  load(library, "cuGraphNodeGetType", calls.node_type);
  load(library, "cuGraphExecDestroy", calls.exec_destroy);
  load(library, "cuGraphDestroy", calls.graph_destroy);
  load(library, "cuCtxCreate_v2", calls.context_create);
  load(library, "cuCtxDestroy_v2", calls.context_destroy);
  return calls;
}

}  // namespace

const DriverCalls& driver_calls() {
  static const DriverCalls calls = load_all();
  return calls;
}

}  // namespace flash_mla::test
