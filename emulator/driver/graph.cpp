// Graphs: what is in them, and their launches, which run independent nodes in an order that depends on the seed.
#include "driver/graph.h"

#include <algorithm>
#include <map>
#include <random>

#include "driver/options.h"
#include "driver/state.h"
#include "support/format.h"

using namespace emulator::driver;
using emulator::format;

namespace {

/// For calls on one graph.
template <class F>
CUresult on_graph(CUgraph graph, F body) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (find_handle(all.graphs, graph) == all.graphs.end()) return fail(CUDA_ERROR_INVALID_VALUE, "that is no graph");
    return body(all);
  });
}

CUresult instantiate(CUgraphExec* exec, CUgraph graph) {
  return on_graph(graph, [&](State& all) -> CUresult {
    if (exec == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the executable graph is null");
    auto made = std::make_unique<CUgraphExec_st>();
    std::map<CUgraphNode, size_t> places;
    for (const auto& node : graph->nodes) {
      CUgraphExec_st::Node copy{node->work, {}};
      for (const CUgraphNode dependency : node->dependencies) copy.dependencies.push_back(places.at(dependency));
      places[node.get()] = made->nodes.size();
      made->nodes.push_back(std::move(copy));
    }
    *exec = all.graph_execs.insert(std::move(made)).first->get();
    return CUDA_SUCCESS;
  });
}

/// An order of the nodes in which each comes after those that it waits for, drawn by the seed.
std::vector<size_t> draw_order(const CUgraphExec_st& exec, uint64_t seed) {
  std::vector<size_t> waits(exec.nodes.size()), ready, order;
  std::vector<std::vector<size_t>> followers(exec.nodes.size());
  for (size_t i = 0; i < exec.nodes.size(); ++i) {
    waits[i] = exec.nodes[i].dependencies.size();
    for (const size_t dependency : exec.nodes[i].dependencies) followers[dependency].push_back(i);
    if (waits[i] == 0) ready.push_back(i);
  }
  std::mt19937_64 random(seed);
  while (!ready.empty()) {
    std::swap(ready[random() % ready.size()], ready.back());
    order.push_back(ready.back());
    ready.pop_back();
    for (const size_t follower : followers[order.back()]) {
      if (--waits[follower] == 0) ready.push_back(follower);
    }
  }
  return order;
}

/// Into a stream that is captured itself: the nodes become nodes of that capture.
CUresult capture_graph(CUstream_st& stream, const CUgraphExec_st& exec) {
  const std::vector<CUgraphNode> before = stream.captured.leaves;
  std::vector<CUgraphNode> made, last;
  for (const auto& node : exec.nodes) {
    stream.captured.leaves.clear();
    for (const size_t dependency : node.dependencies) stream.captured.leaves.push_back(made[dependency]);
    if (node.dependencies.empty()) stream.captured.leaves = before;
    if (const CUresult bad = capture_work(stream, node.work)) return bad;
    made.push_back(stream.captured.leaves.front());
    std::erase_if(last, [&](CUgraphNode leaf) {
      const auto& waited_for = made.back()->dependencies;
      return std::find(waited_for.begin(), waited_for.end(), leaf) != waited_for.end();
    });
    last.push_back(made.back());
  }
  stream.captured.leaves = last.empty() ? before : last;
  return CUDA_SUCCESS;
}

}  // namespace

EMULATOR_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  if (flags > 15) return fail(CUDA_ERROR_INVALID_VALUE, format("flags {} of cuGraphInstantiate", flags));
  return instantiate(exec, graph);
}
EMULATOR_EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                                      CUgraphInstantiateParams* parameters) {
  if (parameters == nullptr) return CUDA_ERROR_INVALID_VALUE;
  parameters->hErrNode_out = nullptr;
  const CUresult result = cuGraphInstantiateWithFlags(exec, graph, parameters->flags);
  parameters->result_out = result == CUDA_SUCCESS ? 0 : 1;
  return result;
}

EMULATOR_EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream handle) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (find_handle(all.graph_execs, exec) == all.graph_execs.end())
      return fail(CUDA_ERROR_INVALID_VALUE, "that is no executable graph");
    CUstream_st* const stream = stream_of(all, handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->captured.by != nullptr) return capture_graph(*stream, *exec);
    if (stream == &all.here->legacy_stream) {
      if (const CUresult bad = refuse_legacy_stream(all)) return bad;
    }
    for (const size_t node : draw_order(*exec, options_of_environment().seed)) {
      if (const CUresult bad = perform(all, exec->nodes[node].work)) return bad;
      if (all.here->sticky != CUDA_SUCCESS) break;
    }
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuGraphUpload(CUgraphExec exec, CUstream) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    return find_handle(all.graph_execs, exec) != all.graph_execs.end()
               ? CUDA_SUCCESS
               : fail(CUDA_ERROR_INVALID_VALUE, "that is no executable graph");
  });
}

EMULATOR_EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    const auto found = find_handle(all.graph_execs, exec);
    if (found == all.graph_execs.end()) return fail(CUDA_ERROR_INVALID_VALUE, "that is no executable graph");
    all.graph_execs.erase(found);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  return on_graph(graph, [&](State& all) -> CUresult {
    all.graphs.erase(find_handle(all.graphs, graph));
    return CUDA_SUCCESS;
  });
}

/// With null `nodes`: how many there are.
EMULATOR_EXPORT CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  return on_graph(graph, [&](State&) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (nodes == nullptr) {
      *count = graph->nodes.size();
      return CUDA_SUCCESS;
    }
    for (size_t i = 0; i < *count; ++i) nodes[i] = i < graph->nodes.size() ? graph->nodes[i].get() : nullptr;
    *count = std::min(*count, graph->nodes.size());
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (type == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (const auto& graph : all.graphs) {
      for (const auto& known : graph->nodes) {
        if (known.get() != node) continue;
        *type = type_of(node->work);
        return CUDA_SUCCESS;
      }
    }
    return fail(CUDA_ERROR_INVALID_VALUE, "that is no node of a graph");
  });
}
