// The caller's executor and OpenMP: who is asked, for how much, and from where.
#include <omp.h>

#include <thread>

#include "decode_call.h"
#include "flash_mla/executor.h"
#include "per_backend.h"
#include "support/accuracy.h"
#include "support/executors.h"

namespace flash_mla::test {
namespace {

const SceneSpec kSplit{.shape = {.h_q = 4, .d = 64, .d_v = 64}, .seqlens = {2000, 30}};

TEST(CallersExecutor, RunsEveryIndexOnce) {
  const Scene scene(kSplit);
  CallCounts counts;
  const flash_mla::Executor executor = counting_executor(counts);
  run(scene, {.workers = 6, .executor = &executor});
  EXPECT_EQ(counts.calls, 2);  // the units, and the merge of split ones
  for (int index = 0; index < CallCounts::kMost; ++index)
    EXPECT_EQ(counts.of_index[index], index < 6 ? counts.calls : 0);
}

TEST(CallersExecutor, GetsItsPool) {
  const Scene scene(kSplit);
  static int pool = 0;
  const flash_mla::Executor executor{&pool, [](void* given, int count, void (*task)(void*, int), void* context) {
                                       EXPECT_EQ(given, &pool);
                                       for (int index = 0; index < count; ++index) task(context, index);
                                     }};
  run(scene, {.workers = 2, .executor = &executor});
}

// No thread of OpenMP's works for a caller who brought an executor.
TEST(CallersExecutor, NothingElseRuns) {
  const Scene scene(kSplit);
  static const std::thread::id caller = std::this_thread::get_id();
  const flash_mla::Executor executor{nullptr, [](void*, int count, void (*task)(void*, int), void* context) {
                                       EXPECT_EQ(std::this_thread::get_id(), caller);
                                       EXPECT_EQ(omp_get_num_threads(), 1);
                                       for (int index = 0; index < count; ++index) task(context, index);
                                     }};
  run(scene, {.workers = 4, .executor = &executor});
}

TEST(CallersExecutor, NotAskedWhereThereIsNothingToDo) {
  const Scene scene({.shape = {.h_q = 4, .d = 64, .d_v = 64}, .seqlens = {}});
  CallCounts counts;
  const flash_mla::Executor executor = counting_executor(counts);
  run(scene, {.workers = 3, .executor = &executor});
  EXPECT_EQ(counts.calls, 0);
}

TEST(OpenMp, DefaultNumberOfWorkersFollowsIt) {
  const int before = omp_get_max_threads();
  const int most = default_num_workers();
  EXPECT_GE(most, 1);
  EXPECT_LE(most, std::max(before, 1));
  omp_set_num_threads(1);
  EXPECT_EQ(default_num_workers(), 1);
  EXPECT_EQ(make_plan(Scene(kSplit), {.workers = 0}).num_workers(), 1);
  omp_set_num_threads(most);
  EXPECT_EQ(default_num_workers(), most);
  EXPECT_EQ(make_plan(Scene(kSplit), {.workers = 0}).num_workers(), most);
  // More than the machine has cores for this process: those.
  omp_set_num_threads(5000);
  EXPECT_LE(default_num_workers(), static_cast<int>(std::thread::hardware_concurrency()));
  omp_set_num_threads(before);
}

TEST(OpenMp, InsideAParallelRegion) {
  const Scene scene(kSplit);
  const RunOptions with{.workers = 3};
  const Output expected = run(scene, with);
  const Plan plan = make_plan(scene, with);
  std::vector<Output> outputs;
  for (int i = 0; i < 4; ++i) outputs.emplace_back(scene);
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 4; ++i) {
    const Status status = run_into(scene, plan, with, outputs[i]);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  for (const Output& output : outputs) EXPECT_EQ(output, expected);
}

TEST(OpenMp, InsideANestedParallelRegion) {
  const int before = omp_get_max_active_levels();
  omp_set_max_active_levels(2);
  const Scene scene(kSplit);
  const RunOptions with{.workers = 3};
  const Output expected = run(scene, with);
  const Plan plan = make_plan(scene, with);
  std::vector<Output> outputs;
  for (int i = 0; i < 2; ++i) outputs.emplace_back(scene);
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(run_into(scene, plan, with, outputs[i]).ok());
  for (const Output& output : outputs) EXPECT_EQ(output, expected);
  omp_set_max_active_levels(before);
}

// A team smaller than the plan's number of workers does all the work.
TEST(OpenMp, FewerThreadsThanWorkers) {
  const Scene scene(kSplit);
  RunOptions with{.workers = 7};
  const Output expected = run(scene, with);
  const int before = omp_get_dynamic();
  omp_set_dynamic(1);
  EXPECT_EQ(run(scene, with), expected);
  omp_set_dynamic(before);
}

TEST(OpenMp, ManyWorkers) {
  const Scene scene(kSplit);
  EXPECT_TRUE(is_accurate(scene, run(scene, {.workers = 200}), scene.reference()));
  const flash_mla::Executor serial = serial_executor();
  EXPECT_TRUE(is_accurate(scene, run(scene, {.workers = 1024, .executor = &serial}), scene.reference()));
}

}  // namespace
}  // namespace flash_mla::test
