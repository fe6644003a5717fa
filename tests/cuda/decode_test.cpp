// The whole way: plan, upload, launch, merge, on the emulated device.
#include <gtest/gtest.h>

#include "device_call.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

Output run_on_device(const Scene& scene, const RunOptions& options) {
  DeviceCall call(scene);
  Output output(scene);
  const Status status = call.run(Plan::make(call.spec(options)).value(), output);
  EXPECT_TRUE(status.ok()) << status.message();
  return output;
}

RunOptions on(int sms, PlanMode mode = PlanMode::standard) {
  RunOptions options;
  options.workers = sms;
  options.mode = mode;
  return options;
}

SceneSpec latents(std::vector<int32_t> seqlens, int64_t h_q = 16) {
  SceneSpec spec;
  spec.shape = {.h_q = h_q, .d = 288, .d_v = 256, .page_size = 64};
  spec.seqlens = std::move(seqlens);
  return spec;
}

TEST(CudaDecode, MatchesTheReference) {
  const Scene scene(latents({130, 0, 64, 1}));
  EXPECT_TRUE(is_accurate(scene, run_on_device(scene, on(3)), scene.reference()));
}

TEST(CudaDecode, MergesWhatWasSplit) {
  SceneSpec spec = latents({4500});
  spec.shape.d = 576;
  spec.shape.d_v = 512;
  const Scene scene(spec);
  DeviceCall call(scene);
  const Plan plan = Plan::make(call.spec(on(4))).value();
  EXPECT_GT(plan.num_split_units(), 1);
  Output output(scene);
  const Status status = call.run(plan, output);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(is_accurate(scene, output, scene.reference()));
}

TEST(CudaDecode, RaggedQueriesWindowsAndSinks) {
  SceneSpec spec = latents({300, 90, 77}, 40);
  spec.cu_seqlens_q = {0, 3, 3, 5};
  spec.mask = {.causal = true, .window = 70, .sinks = 5};
  const Scene scene(spec);
  EXPECT_TRUE(is_accurate(scene, run_on_device(scene, on(5)), scene.reference()));
}

TEST(CudaDecode, SeveralKvHeadsAndStrides) {
  SceneSpec spec = latents({100, 30}, 24);
  spec.shape.h_kv = 3;
  spec.spread = Spread::heads_first;
  const Scene scene(spec);
  EXPECT_TRUE(is_accurate(scene, run_on_device(scene, on(2)), scene.reference()));
}

TEST(CudaDecode, CachesThatNoTensorMapFits) {
  SceneSpec spec = latents({130, 0, 77});
  spec.shape.page_size = 16;
  spec.spread = Spread::padded;  // aligned to an element
  const Scene unaligned(spec);
  EXPECT_TRUE(is_accurate(unaligned, run_on_device(unaligned, on(2)), unaligned.reference()));
  spec.shape.page_size = 3;
  spec.spread = Spread::dense;
  const Scene small_pages(spec);
  EXPECT_TRUE(is_accurate(small_pages, run_on_device(small_pages, on(2)), small_pages.reference()));
}

TEST(CudaDecode, HowKeysAreBroughtChangesNoBit) {
  const Scene boxes(latents({130, 77}));
  SceneSpec spec = boxes.spec();
  spec.shape.page_size = 7;
  const Scene rows(spec);
  EXPECT_TRUE(run_on_device(boxes, on(3)) == run_on_device(rows, on(3)));
}

TEST(CudaDecode, BatchInvariantPlansGiveTheSameBits) {
  const Scene alone(latents({700}));
  SceneSpec together = latents({90, 700, 2000});
  together.names = {1, 0, 2};
  const Scene batch(together);
  const Output one = run_on_device(alone, on(7, PlanMode::batch_invariant));
  const Output all = run_on_device(batch, on(4, PlanMode::batch_invariant));
  for (int64_t head = 0; head < 16; ++head) {
    EXPECT_EQ(one.lse.get(0, head, 0), all.lse.get(1, head, 0));
    for (int64_t column = 0; column < 256; ++column) {
      ASSERT_EQ(one.out.get(0, 0, head, column), all.out.get(1, 0, head, column)) << head << ", " << column;
    }
  }
}

TEST(CudaDecode, APlanServesManyCallsAndIsMadeAnew) {
  const Scene scene(latents({130, 40}));
  DeviceCall call(scene);
  Plan plan = Plan::make(call.spec(on(2))).value();
  Output first(scene), second(scene);
  ASSERT_TRUE(call.run(plan, first).ok());
  ASSERT_TRUE(call.run(plan, second).ok());
  EXPECT_EQ(first.out.bits(), second.out.bits());
  ASSERT_TRUE(plan.remake(call.spec(on(3))).ok());
  Output third(scene);
  ASSERT_TRUE(call.run(plan, third).ok());
  EXPECT_TRUE(is_accurate(scene, third, scene.reference()));
}

TEST(CudaDecode, AnEmptyBatchLaunchesNothing) {
  const Scene scene(latents({}));
  DeviceCall call(scene);
  const Plan plan = Plan::make(call.spec(on(2))).value();
  EXPECT_EQ(plan.workspace_size(), 0u);
  Output output(scene);
  EXPECT_TRUE(call.run(plan, output).ok());
}

}  // namespace
}  // namespace flash_mla::test
