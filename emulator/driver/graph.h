// Graphs: nodes of work and what each waits for.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "driver/work.h"

struct CUgraphNode_st {
  emulator::driver::Work work;
  std::vector<CUgraphNode> dependencies;  // nodes that were added before
};
struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
};
/// A graph as it was when it was instantiated.
struct CUgraphExec_st {
  struct Node {
    emulator::driver::Work work;
    std::vector<size_t> dependencies;
  };
  std::vector<Node> nodes;
};
