// Entry points of the driver that the library has no need of, for tests: streams, graphs and contexts.
#pragma once

#include "driver/abi.h"

namespace flash_mla::test {

/// The driver that the library uses; a missing entry point ends the test program.
struct DriverCalls {
  CUresult (*stream_create)(CUstream*, unsigned int);
  CUresult (*stream_destroy)(CUstream);
  CUresult (*begin_capture)(CUstream, CUstreamCaptureMode);
  CUresult (*end_capture)(CUstream, CUgraph*);
  CUresult (*instantiate)(CUgraphExec*, CUgraph, unsigned long long);
  CUresult (*graph_launch)(CUgraphExec, CUstream);
  CUresult (*graph_nodes)(CUgraph, CUgraphNode*, size_t*);
  CUresult (*node_type)(CUgraphNode, CUgraphNodeType*);
  CUresult (*exec_destroy)(CUgraphExec);
  CUresult (*graph_destroy)(CUgraph);
  CUresult (*context_create)(CUcontext*, unsigned int, CUdevice);
  CUresult (*context_destroy)(CUcontext);
};
const DriverCalls& driver_calls();

}  // namespace flash_mla::test
