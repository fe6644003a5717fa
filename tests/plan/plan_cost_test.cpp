// What planning costs: time on one core, and no allocation once the schedule has grown.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "allocation_counter.h"
#include "batches.h"

namespace flash_mla::plan::test {
namespace {

using Planner = void (*)(std::span<const Item>, int, const CostModel&, Schedule&);
constexpr CostModel kModel = {5000, 10000, 16};

class PlanCost : public testing::TestWithParam<Planner> {
 protected:
  static const char* name() { return GetParam() == plan_balanced ? "balanced" : "invariant"; }
};

TEST_P(PlanCost, NoAllocationTheSecondTime) {
  Random random(1);
  Schedule schedule;
  for (const int num_parts : kNumParts) {
    for (const Lengths lengths : kLengths) {
      for (const int batch : {1, 2, 17, 300, 5000}) {
        const double mean = batch > 1000 ? 500 : draw_mean(random) / 10;
        if (lengths == Lengths::most && batch > 1000) continue;
        const std::vector<Item> items = draw(lengths, batch, mean, 80, random);
        GetParam()(items, num_parts, kModel, schedule);
        const int64_t before = num_allocations();
        GetParam()(items, num_parts, kModel, schedule);
        ASSERT_EQ(num_allocations() - before, 0) << name_of(lengths) << ", " << describe(items, num_parts, kModel);
      }
    }
  }
}

TEST_P(PlanCost, NoAllocationForSmallerBatches) {
  Random random(2);
  Schedule schedule;
  const std::vector<Item> items = draw(Lengths::ragged, 3000, 4000, 80, random);
  GetParam()(items, 256, kModel, schedule);
  const std::vector<Item> fewer = draw(Lengths::ragged, 1000, 400, 80, random);
  const int64_t before = num_allocations();
  for (size_t batch = fewer.size(); batch > 0; batch -= batch / 8 + 1) {
    for (const int num_parts : {256, 132, 7, 1}) {
      GetParam()(std::span(fewer).first(batch), num_parts, kModel, schedule);
    }
  }
  EXPECT_EQ(num_allocations() - before, 0);
}

TEST_P(PlanCost, TenThousandItemsInUnderAMillisecond) {
#if !defined(NDEBUG) || !defined(__x86_64__)
  GTEST_SKIP() << "not a build to be timed";
#endif
  Random random(3);
  Schedule schedule;
  for (const int num_parts : {2, 132}) {
    for (const Lengths lengths : kLengths) {
      for (const double token_cost : kTokenCosts) {
        if (lengths == Lengths::most && GetParam() == plan_invariant) continue;  // 10,000 items of 200,000 tokens
        const std::vector<Item> items = draw(lengths, 10000, 4096, token_cost, random);
        double least = 1e9;
        for (int run = 0; run < 31; ++run) {
          const auto start = std::chrono::steady_clock::now();
          GetParam()(items, num_parts, kModel, schedule);
          const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
          least = std::min(least, time.count());
        }
        fmt::print("{}, {} parts, {}, {} ns a token: {:.0f} us, {} units\n", name(), num_parts, name_of(lengths),
                   token_cost, least, schedule.units.size());
        EXPECT_LT(least, 1000);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, PlanCost, testing::Values(plan_balanced, plan_invariant),
                         [](const auto& instance) { return instance.index == 0 ? "balanced" : "invariant"; });

}  // namespace
}  // namespace flash_mla::plan::test
