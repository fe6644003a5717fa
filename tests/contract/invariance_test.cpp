// What must not change a bit: where keys lie, how arrays are strided, and who runs the work.
#include <cmath>
#include <thread>

#include "per_backend.h"
#include "support/executors.h"

namespace flash_mla::test {
namespace {

class Invariance : public PerBackendAndType {
 protected:
  static SceneSpec mla() {
    return {.shape = shape({.s_q = 2, .h_q = 18, .d = 80, .d_v = 64, .page_size = 16}),
            .seqlens = {333, 0, 20, 1},
            .mask = {.causal = true, .window = 200, .sinks = 5}};
  }
  static SceneSpec grouped() {
    return {.shape = shape({.h_q = 6, .h_kv = 3, .d = 40, .d_v = 72, .page_size = 16, .separate_v = true}),
            .seqlens = {210, 0, 20, 1},
            .cu_seqlens_q = {0, 1, 3, 3, 7}};
  }
  static Output output_of(const SceneSpec& spec) {
    RunOptions with = options();
    with.workers = 3;
    return run(Scene(spec), with);
  }
};

TEST_P(Invariance, PermutedPages) {
  for (SceneSpec spec : {mla(), grouped()}) {
    const Output first = output_of(spec);
    for (const uint64_t page_seed : {0, 2, 3}) {
      spec.page_seed = page_seed;
      EXPECT_EQ(output_of(spec), first) << "pages by seed " << page_seed;
    }
  }
}

TEST_P(Invariance, PageSize) {
  for (SceneSpec spec : {mla(), grouped()}) {
    const Output first = output_of(spec);
    for (const int page_size : {1, 7, 64, 500}) {
      spec.shape.page_size = page_size;
      EXPECT_EQ(output_of(spec), first) << "pages of " << page_size;
    }
  }
}

TEST_P(Invariance, Strides) {
  for (SceneSpec spec : {mla(), grouped()}) {
    const Output first = output_of(spec);
    for (const Spread spread : {Spread::padded, Spread::heads_first}) {
      spec.spread = spread;
      EXPECT_EQ(output_of(spec), first) << (spread == Spread::padded ? "padded" : "heads first");
    }
  }
}

// Extents of 1 may carry any stride, negative and huge ones too.
TEST_P(Invariance, StridesOfSingleExtents) {
  const Scene scene({.shape = shape({.h_q = 1, .d = 33, .d_v = 1, .page_size = 1}), .seqlens = {1}, .page_seed = 0});
  const RunOptions with = options();
  const Plan plan = make_plan(scene, with);
  const Output first = run(scene, with);
  for (const int64_t stride : {int64_t{0}, int64_t{-7}, INT64_MAX, INT64_MIN}) {
    Output output(scene);
    const Memory workspace(plan.workspace_size(), Border::poison);
    DecodeArgs args = scene.args();
    args.out = output.out.view();
    args.lse = output.lse.view();
    args.workspace = workspace.data();
    args.workspace_size = workspace.size();
    args.page_table.shape[1] = 1;
    for (ConstTensor* tensor : {&args.q, &args.k_cache, &args.page_table, &args.seqlens}) {
      for (int axis = 0; axis < tensor->rank; ++axis) {
        if (tensor->shape[axis] == 1) tensor->strides[axis] = stride;
      }
    }
    args.out.strides = {stride, stride, stride, stride};
    args.lse.strides = {stride, stride, stride, stride};
    const Status status = decode(plan, args);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(output, first) << "stride " << stride;
  }
}

// A stride of 0: all sequences ask the same question.
TEST_P(Invariance, SharedQueries) {
  Scene scene({.shape = shape({.h_q = 3, .d = 48, .d_v = 32}), .seqlens = {70, 33}, .names = {5, 5}});
  const RunOptions with = options();
  const Output expected = run(scene, with);
  for (int64_t head = 0; head < 3; ++head) scene.q.set(std::nan(""), 1, 0, head, 0);
  const Plan plan = make_plan(scene, with);
  Output output(scene);
  const Memory workspace(plan.workspace_size(), Border::poison);
  DecodeArgs args = scene.args();
  args.q.strides[0] = 0;
  args.out = output.out.view();
  args.lse = output.lse.view();
  args.workspace = workspace.data();
  args.workspace_size = workspace.size();
  ASSERT_TRUE(decode(plan, args).ok());
  EXPECT_EQ(output, expected);
}

TEST_P(Invariance, Executor) {
  for (const SceneSpec& spec : {mla(), grouped()}) {
    const Scene scene(spec);
    RunOptions with = options();
    with.workers = 5;
    const Output first = run(scene, with);
    for (const Executor& executor : {serial_executor(), reverse_executor(), thread_executor()}) {
      with.executor = &executor;
      EXPECT_EQ(run(scene, with), first);
    }
  }
}

// One worker does all the work, then the others come: results must not depend on which parts a worker helped with.
TEST_P(Invariance, WhoDoesTheWork) {
  const Scene scene(mla());
  RunOptions with = options();
  with.workers = 4;
  const Output first = run(scene, with);
  const auto one_before_all = [](void*, int count, void (*task)(void*, int), void* context) {
    const int middle = count / 2;
    task(context, middle);
    for (int index = 0; index < count; ++index) {
      if (index != middle) task(context, index);
    }
  };
  const Executor executor{nullptr, one_before_all};
  with.executor = &executor;
  EXPECT_EQ(run(scene, with), first);
}

FLASH_MLA_PER_BACKEND_AND_TYPE(Invariance);

}  // namespace
}  // namespace flash_mla::test
