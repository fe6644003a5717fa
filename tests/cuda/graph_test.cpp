// A decode is captured into a graph, which is launched for other batches in the same memory.
#include <gtest/gtest.h>

#include "device_call.h"
#include "dispatch/plan_state.h"
#include "driver_calls.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

/// A stream that nothing waits for by itself.
class Stream {
 public:
  Stream() { EXPECT_EQ(driver_calls().stream_create(&handle_, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { driver_calls().stream_destroy(handle_); }
  [[nodiscard]] CUstream get() const { return handle_; }

 private:
  CUstream handle_ = nullptr;
};

/// A decode call in memory that stays where it is.
class Graph {
 public:
  Graph(const Scene& scene, const Plan& plan)
      : call_(scene),
        output_(scene),
        out_(output_.out.view()),
        lse_(output_.lse.view()),
        workspace_(CudaMemory::allocate(plan.workspace_size()).value()) {
    call_.args.out = output_.out.view();
    call_.args.out.data = out_.data();
    call_.args.lse = output_.lse.view();
    call_.args.lse.data = lse_.data();
    call_.args.workspace = workspace_.data();
    call_.args.workspace_size = workspace_.size();
    call_.args.stream = stream_.get();
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    driver_calls().exec_destroy(exec_);
    driver_calls().graph_destroy(graph_);
  }

  /// Fails if decode, or planning on the device, allocates, waits, or loads anything.
  void capture(const Plan& plan) {
    ASSERT_EQ(driver_calls().begin_capture(stream_.get(), CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
    Status status;
    if (plan.state().planned_on_device()) {
      status = plan.plan_on_device(call_.args.seqlens, workspace_.data(), workspace_.size(), stream_.get());
      EXPECT_TRUE(status.ok()) << status.message();
    }
    status = decode(plan, call_.args);
    EXPECT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(driver_calls().end_capture(stream_.get(), &graph_), CUDA_SUCCESS);
    ASSERT_EQ(driver_calls().instantiate(&exec_, graph_, 0), CUDA_SUCCESS);
  }

  [[nodiscard]] std::vector<CUgraphNodeType> node_types() const {
    size_t count = 0;
    EXPECT_EQ(driver_calls().graph_nodes(graph_, nullptr, &count), CUDA_SUCCESS);
    std::vector<CUgraphNode> nodes(count);
    std::vector<CUgraphNodeType> types(count);
    EXPECT_EQ(driver_calls().graph_nodes(graph_, nodes.data(), &count), CUDA_SUCCESS);
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(driver_calls().node_type(nodes[i], &types[i]), CUDA_SUCCESS);
    return types;
  }

  /// The scene's arrays and the plan take the place of those before.
  Output replay(const Scene& scene, const Plan& plan) {
    call_.refill(scene);
    out_.fill(kPoison);
    lse_.fill(kPoison);
    if (!plan.state().planned_on_device()) {
      const Status status = plan.upload(workspace_.data(), workspace_.size(), stream_.get());
      EXPECT_TRUE(status.ok()) << status.message();
    }
    EXPECT_EQ(driver_calls().graph_launch(exec_, stream_.get()), CUDA_SUCCESS);
    EXPECT_TRUE(cuda_synchronize(stream_.get()).ok());
    Output output(scene);
    out_.copy_back(output.out.view().data);
    lse_.copy_back(output.lse.view().data);
    return output;
  }

 private:
  DeviceCall call_;
  Stream stream_;
  Output output_;
  Placed out_, lse_;
  CudaMemory workspace_;
  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
};

Scene batch(std::vector<int32_t> seqlens, uint64_t seed) {
  SceneSpec spec;
  spec.shape = {.h_q = 16, .d = 288, .d_v = 256, .page_size = 64};
  spec.seqlens = std::move(seqlens);
  spec.seed = spec.page_seed = seed;
  return Scene(spec);
}

Plan plan_on(int sms, const Scene& scene) {
  RunOptions options;
  options.workers = sms;
  return Plan::make(DeviceCall(scene).spec(options)).value();
}

/// What a captured decode has in it of its plan: the sizes of the tables, and the kernels' grids.
bool same_launches(const Plan& a, const Plan& b) {
  return a.num_workers() == b.num_workers() && a.num_units() == b.num_units() &&
         a.workspace_size() == b.workspace_size() && a.state().device.num_merges == b.state().device.num_merges;
}

TEST(CudaGraph, IsOneKernelWhereNothingIsSplit) {
  const Scene scene = batch({130, 40, 64}, 1);
  const Plan plan = plan_on(3, scene);
  Graph graph(scene, plan);
  graph.capture(plan);
  EXPECT_EQ(graph.node_types(), std::vector<CUgraphNodeType>(1, CU_GRAPH_NODE_TYPE_KERNEL));
}

TEST(CudaGraph, ServesOtherBatchesInTheSameMemory) {
  const Scene first = batch({130, 40, 64}, 1);
  const Plan plan = plan_on(3, first);
  Graph graph(first, plan);
  graph.capture(plan);
  EXPECT_TRUE(is_accurate(first, graph.replay(first, plan), first.reference()));
  for (const auto& [seqlens, seed] : {std::pair{std::vector<int32_t>{130, 40, 64}, 2},  // other pages, queries, keys
                                      std::pair{std::vector<int32_t>{5, 190, 17}, 3},   // other lengths too
                                      std::pair{std::vector<int32_t>{1, 1, 129}, 4}}) {
    const Scene next = batch(seqlens, static_cast<uint64_t>(seed));
    const Plan replanned = plan_on(3, next);
    ASSERT_TRUE(same_launches(plan, replanned));
    EXPECT_TRUE(is_accurate(next, graph.replay(next, replanned), next.reference())) << "batch " << seed;
  }
  EXPECT_TRUE(is_accurate(first, graph.replay(first, plan), first.reference()));
}

TEST(CudaGraph, MergesOtherLengths) {
  const Scene first = batch({4500, 64}, 1);
  const Plan plan = plan_on(4, first);
  ASSERT_GT(plan.num_split_units(), 1);
  Graph graph(first, plan);
  graph.capture(plan);
  EXPECT_EQ(graph.node_types(), std::vector<CUgraphNodeType>(2, CU_GRAPH_NODE_TYPE_KERNEL));
  EXPECT_TRUE(is_accurate(first, graph.replay(first, plan), first.reference()));
  const Scene next = batch({4490, 30}, 2);
  const Plan replanned = plan_on(4, next);
  ASSERT_TRUE(same_launches(plan, replanned));
  EXPECT_TRUE(is_accurate(next, graph.replay(next, replanned), next.reference()));
}

// The device plans in the graph: lengths change as they like, as long as the arrays keep their sizes.
TEST(CudaGraph, PlansAnewForLengthsThatChangeInPlace) {
  const Scene first = batch({700, 40, 0, 64}, 1);  // 11 + 1 + 0 + 1 pages
  const DeviceCall call(first);
  RunOptions options;
  options.workers = 5;
  PlanSpec spec = call.spec(options);
  spec.lengths_on_device = true;
  spec.seqlens = nullptr;
  const Plan plan = Plan::make(spec).value();
  Graph graph(first, plan);
  graph.capture(plan);
  for (const CUgraphNodeType type : graph.node_types()) EXPECT_EQ(type, CU_GRAPH_NODE_TYPE_KERNEL);
  EXPECT_TRUE(is_accurate(first, graph.replay(first, plan), first.reference()));
  uint64_t seed = 1;
  for (const std::vector<int32_t>& seqlens :
       {std::vector<int32_t>{701, 41, 0, 1},  // a step further, one is new
        std::vector<int32_t>{1, 1, 700, 0}, std::vector<int32_t>{64, 0, 64, 641}}) {
    const Scene next = batch(seqlens, ++seed);
    EXPECT_TRUE(is_accurate(next, graph.replay(next, plan), next.reference())) << "batch " << seed;
  }
}

TEST(CudaGraph, ReplaysGiveTheSameBitsAsCalls) {
  const Scene scene = batch({700, 64}, 5);
  const Plan plan = plan_on(4, scene);
  DeviceCall call(scene);
  Output direct(scene);
  ASSERT_TRUE(call.run(plan, direct).ok());
  Graph graph(scene, plan);
  graph.capture(plan);
  EXPECT_EQ(graph.replay(scene, plan).out.bits(), direct.out.bits());
}

// What must not be captured says so, and spoils the capture.
TEST(CudaGraph, AllocationDuringACaptureFails) {
  const Scene scene = batch({40}, 1);
  const DeviceCall call(scene);
  const Stream stream;
  CUgraph graph = nullptr;
  ASSERT_EQ(driver_calls().begin_capture(stream.get(), CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  const Status status = CudaMemory::allocate(16).status();
  EXPECT_EQ(status.code(), StatusCode::device_error);
  EXPECT_NE(status.message().find("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"), std::string::npos) << status.message();
  EXPECT_EQ(driver_calls().end_capture(stream.get(), &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

}  // namespace
}  // namespace flash_mla::test
