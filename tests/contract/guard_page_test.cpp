// No access beside the arrays: inaccessible pages lie right behind, then right before, the inputs, the last live row of
// the cache, the outputs and a workspace of exactly the size that the plan asked for. A slip ends this program.
#include "per_backend.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

class GuardPages : public PerBackendAndType {
 protected:
  static void expect_inside(SceneSpec spec, int most_workers = 3) {
    spec.page_seed = 0;
    for (const Border border : {Border::behind, Border::before}) {
      spec.border = border;
      spec.cut_cache = border == Border::behind;
      const Scene scene(spec);
      const ReferenceResult reference = scene.reference();
      for (const int workers : {1, most_workers}) {
        RunOptions with = options();
        with.workers = workers;
        EXPECT_TRUE(is_accurate(scene, run(scene, with), reference));
        with.mode = PlanMode::batch_invariant;
        EXPECT_TRUE(is_accurate(scene, run(scene, with), reference));
      }
    }
  }
};

TEST_P(GuardPages, ValuesInKeys) {
  for (const auto& [d, d_v] : {std::pair{576, 512}, {288, 256}, {130, 127}, {65, 64}, {33, 32}, {1, 1}}) {
    SCOPED_TRACE(testing::Message() << d << "/" << d_v);
    expect_inside({.shape = shape({.h_q = 3, .d = d, .d_v = d_v, .page_size = 16}), .seqlens = {40, 0, 37}});
  }
}

TEST_P(GuardPages, SeparateValues) {
  for (const auto& [d, d_v] : {std::pair{64, 64}, {64, 128}, {100, 37}, {31, 1}, {1, 31}}) {
    SCOPED_TRACE(testing::Message() << d << "/" << d_v);
    expect_inside(
        {.shape = shape({.s_q = 2, .h_q = 6, .h_kv = 3, .d = d, .d_v = d_v, .page_size = 7, .separate_v = true}),
         .seqlens = {150, 129}});
  }
}

TEST_P(GuardPages, OutInFloat32) {
  SceneSpec spec{.shape = shape({.h_q = 20, .d = 35, .d_v = 33}), .seqlens = {20, 3}};
  spec.shape.out_dtype = DType::float32;
  expect_inside(spec);
}

TEST_P(GuardPages, RaggedQueriesWithWindows) {
  expect_inside({.shape = shape({.h_q = 5, .d = 40, .d_v = 40, .page_size = 1}),
                 .seqlens = {150, 0, 129},
                 .cu_seqlens_q = {0, 1, 1, 6},
                 .mask = {.causal = true, .window = 70, .sinks = 2}});
}

// Partial results lie last in the workspace.
TEST_P(GuardPages, SplitSequences) {
  const SceneSpec spec{.shape = shape({.h_q = 9, .h_kv = 3, .d = 40, .d_v = 33, .page_size = 16}), .seqlens = {1003}};
  RunOptions with = options();
  with.workers = 8;
  EXPECT_GT(make_plan(Scene(spec), with).num_split_units(), 0);
  expect_inside(spec, 8);
}

FLASH_MLA_PER_BACKEND_AND_TYPE(GuardPages);

}  // namespace
}  // namespace flash_mla::test
