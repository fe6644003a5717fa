// The same plan and the same inputs give the same bits, run after run, whatever threads take part.
#include "per_backend.h"
#include "support/executors.h"

namespace flash_mla::test {
namespace {

class Determinism : public PerBackendAndType {};

TEST_P(Determinism, RepeatedRuns) {
  const Scene scene(
      {.shape = shape({.h_q = 20, .h_kv = 2, .d = 64, .d_v = 64, .page_size = 16}), .seqlens = {900, 3, 90}});
  const Executor threads = thread_executor();
  for (int workers = 1; workers <= 8; ++workers) {
    RunOptions with = options();
    with.workers = workers;
    const Plan plan = make_plan(scene, with);
    EXPECT_TRUE(workers <= 3 || plan.num_split_units() > 0);
    const Output first = run(scene, with);
    for (int i = 0; i < 6; ++i) {
      with.executor = i % 2 == 0 ? nullptr : &threads;
      Output again(scene);
      ASSERT_TRUE(run_into(scene, plan, with, again).ok());
      ASSERT_EQ(again, first) << workers << " workers, run " << i;
    }
  }
}

// A workspace carries nothing from call to call: here it comes from another call, and is not cleared.
TEST_P(Determinism, UsedWorkspace) {
  const Scene scene({.shape = shape({.h_q = 5, .d = 64, .d_v = 64}), .seqlens = {260, 3}});
  const Scene other({.shape = shape({.h_q = 5, .d = 64, .d_v = 64}), .seqlens = {260, 3}, .deviation = 3, .seed = 9});
  RunOptions with = options();
  with.workers = 2;
  const Plan plan = make_plan(scene, with);
  const Memory workspace(plan.workspace_size(), Border::poison);
  Output output(scene);
  for (const Scene* of : {&other, &scene}) {
    DecodeArgs args = of->args();
    args.out = output.out.view();
    args.lse = output.lse.view();
    args.workspace = workspace.data();
    args.workspace_size = workspace.size();
    ASSERT_TRUE(decode(plan, args).ok());
  }
  EXPECT_EQ(output, run(scene, with));
}

TEST_P(Determinism, RemadePlans) {
  const Scene scene({.shape = shape({.h_q = 5, .d = 64, .d_v = 64}), .seqlens = {260, 3}});
  const Scene other({.shape = shape({.h_q = 70, .h_kv = 2, .d = 32, .d_v = 16, .separate_v = true}),
                     .seqlens = {9, 800, 44},
                     .cu_seqlens_q = {0, 2, 2, 9}});
  RunOptions with = options();
  with.workers = 4;
  Plan plan = make_plan(other, with);
  PlanSpec spec = scene.plan_spec();
  spec.backend = with.backend;
  spec.num_workers = with.workers;
  ASSERT_TRUE(plan.remake(spec).ok());
  Output output(scene);
  ASSERT_TRUE(run_into(scene, plan, with, output).ok());
  EXPECT_EQ(output, run(scene, with));
}

FLASH_MLA_PER_BACKEND_AND_TYPE(Determinism);

}  // namespace
}  // namespace flash_mla::test
