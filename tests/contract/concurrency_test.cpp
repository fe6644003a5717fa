// Calls on different outputs and workspaces may run at the same time, with one plan and the same inputs. Threads are
// the caller's own, so that ThreadSanitizer sees all that they share.
#include <barrier>
#include <thread>

#include "flash_mla/append.h"
#include "flash_mla/backend.h"
#include "flash_mla/merge.h"
#include "per_backend.h"
#include "support/accuracy.h"
#include "support/executors.h"

namespace flash_mla::test {
namespace {

class Concurrency : public PerBackendAndType {
 protected:
  static Scene scene() {
    return Scene(
        {.shape = shape({.s_q = 2, .h_q = 6, .h_kv = 2, .d = 64, .d_v = 48, .page_size = 16, .separate_v = true}),
         .seqlens = {300, 0, 40},
         .mask = {.causal = true, .window = 250, .sinks = 4}});
  }
};

/// Runs `work(i)` on `count` threads that start together.
template <class Work>
void run_together(int count, Work work) {
  std::barrier start(count);
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      work(i);
    });
  }
}

TEST_P(Concurrency, OnePlanManyCallers) {
  const Scene scene = Concurrency::scene();
  const flash_mla::Executor serial = serial_executor();
  RunOptions with = options();
  with.workers = 3;
  with.executor = &serial;
  const Plan plan = make_plan(scene, with);
  const Output expected = run(scene, with);
  std::vector<Output> outputs;
  for (int i = 0; i < 8; ++i) outputs.emplace_back(scene);
  run_together(8, [&](int i) {
    for (int repeat = 0; repeat < 3; ++repeat) EXPECT_TRUE(run_into(scene, plan, with, outputs[i]).ok());
  });
  for (const Output& output : outputs) EXPECT_EQ(output, expected);
}

// Workers of one call on threads of their own: they share queues, partial results and the merge.
TEST_P(Concurrency, ThreadsOfOneCall) {
  const Scene scene = Concurrency::scene();
  const flash_mla::Executor serial = serial_executor(), threads = thread_executor();
  RunOptions with = options();
  with.workers = 6;
  with.executor = &serial;
  EXPECT_GT(make_plan(scene, with).num_split_units(), 0);
  const Output expected = run(scene, with);
  with.executor = &threads;
  for (int repeat = 0; repeat < 25; ++repeat) EXPECT_EQ(run(scene, with), expected);
}

TEST_P(Concurrency, ThreadsOfManyCalls) {
  const Scene scene = Concurrency::scene();
  const flash_mla::Executor threads = thread_executor();
  RunOptions with = options();
  with.workers = 3;
  with.executor = &threads;
  const Plan plan = make_plan(scene, with);
  const Output expected = run(scene, with);
  std::vector<Output> outputs;
  for (int i = 0; i < 4; ++i) outputs.emplace_back(scene);
  run_together(4, [&](int i) { EXPECT_TRUE(run_into(scene, plan, with, outputs[i]).ok()); });
  for (const Output& output : outputs) EXPECT_EQ(output, expected);
}

FLASH_MLA_PER_BACKEND_AND_TYPE(Concurrency);

// What is set up on first use is set up once, whoever comes first.
TEST(ConcurrencyOfEverythingElse, PlansBackendsAndRefusals) {
  const Scene scene({.shape = {.h_q = 3, .d = 32, .d_v = 32}, .seqlens = {50}});
  run_together(8, [&](int i) {
    EXPECT_TRUE(find_backend("").ok());
    EXPECT_FALSE(find_backend("none").ok());
    EXPECT_GE(default_num_workers(), 1);
    EXPECT_EQ(backends().size(), 7u);
    const Plan plan = make_plan(scene, {.workers = i % 3});
    DecodeArgs args = scene.args();
    EXPECT_FALSE(decode(plan, args).ok());  // no out
    EXPECT_TRUE(reference_decode(args, {}, 32).ok());
  });
}

TEST(ConcurrencyOfEverythingElse, AppendToDifferentSlots) {
  const Array cache(DType::bfloat16, {4, 8, 1, 16});
  run_together(4, [&](int i) {
    Array rows(DType::bfloat16, {8, 1, 16});
    std::vector<int64_t> slots;
    for (int64_t token = 0; token < 8; ++token) {
      slots.push_back(token * 4 + i);
      for (int64_t column = 0; column < 16; ++column) rows.set(i, token, 0, column);
    }
    const ConstTensor slot_mapping(slots.data(), DType::int64, {8});
    EXPECT_TRUE(append({.rows = rows.view(), .slot_mapping = slot_mapping, .k_cache = cache.view()}).ok());
  });
  for (int64_t slot = 0; slot < 32; ++slot) EXPECT_EQ(cache.get(slot / 8, slot % 8, 0, 3), slot % 4);
}

TEST(ConcurrencyOfEverythingElse, MergeOfSharedParts) {
  const Scene scene({.shape = {.h_q = 3, .d = 32, .d_v = 32}, .seqlens = {50, 20}});
  const Output part = run(scene, {});
  const std::vector<PartialResult> parts = {{part.out.view(), part.lse.view()}};
  std::vector<Output> outputs;
  for (int i = 0; i < 4; ++i) outputs.emplace_back(scene);
  run_together(4, [&](int i) { EXPECT_TRUE(merge(parts, outputs[i].out.view(), outputs[i].lse.view()).ok()); });
  for (const Output& output : outputs) EXPECT_EQ(output, part);
}

}  // namespace
}  // namespace flash_mla::test
