// Edges: nothing to do, free work, many tokens, more units than numbers, the same plan again.
#include <gtest/gtest.h>

#include <cmath>

#include "batches.h"
#include "schedule_check.h"

namespace flash_mla::plan::test {
namespace {

constexpr CostModel kModel = {5000, 10000, 16};

bool same(const Schedule& a, const Schedule& b) {
  const auto same_unit = [](const Unit& x, const Unit& y) {
    return x.item == y.item && x.split == y.split && x.begin == y.begin && x.end == y.end;
  };
  return a.units.size() == b.units.size() && std::equal(a.units.begin(), a.units.end(), b.units.begin(), same_unit) &&
         a.part_begin == b.part_begin && a.num_splits == b.num_splits && a.makespan == b.makespan;
}

using Planner = void (*)(std::span<const Item>, int, const CostModel&, Schedule&);

class Limits : public testing::TestWithParam<Planner> {
 protected:
  /// Plans and checks.
  static Schedule plan(std::span<const Item> items, int num_parts, const CostModel& model) {
    Schedule schedule;
    GetParam()(items, num_parts, model, schedule);
    EXPECT_EQ(complaint(items, num_parts, model, schedule, Order::any), "");
    return schedule;
  }
};

TEST_P(Limits, NoItems) {
  for (const int num_parts : {1, 3, 1024}) {
    const Schedule schedule = plan({}, num_parts, kModel);
    EXPECT_TRUE(schedule.units.empty());
    EXPECT_EQ(schedule.makespan, 0);
  }
}

TEST_P(Limits, FreeWork) {
  for (const CostModel& model : {CostModel{0, 0, 1}, CostModel{0, 0, 64}, CostModel{0, 7, 16}, CostModel{7, 0, 16}}) {
    for (const double token_cost : {0.0, 1.0}) {
      const std::vector<Item> items = {{0, token_cost}, {5, token_cost}, {1000, token_cost}, {0, token_cost}};
      for (const int num_parts : {1, 2, 132}) plan(items, num_parts, model);
    }
  }
}

TEST_P(Limits, MixedTokenCosts) {
  Random random(1);
  for (int i = 0; i < 100; ++i) {
    std::vector<Item> items = draw(Lengths::wide, draw_batch(32, random), draw_mean(random), 80, random);
    for (Item& item : items) item.token_cost *= static_cast<double>(1 + random() % 3);
    for (const int num_parts : {3, 32, 256}) {
      const Schedule schedule = plan(items, num_parts, kModel);
      if (i % 20 != 0) continue;  // the bound takes milliseconds
      EXPECT_LE(ideal_makespan(items, num_parts, kModel), schedule.makespan * (1 + 1e-9));
    }
  }
}

TEST_P(Limits, MostParts) {
  const std::vector<Item> items = {{1'000'000, 80}, {1'000, 80}, {0, 80}};
  const Schedule schedule = plan(items, 1024, kModel);
  EXPECT_LT(schedule.makespan, 80e6 / 300);
}

TEST_P(Limits, MoreThanTwoToThe31Tokens) {
  const std::vector<Item> items = {{int64_t{1} << 40, 80}, {(int64_t{1} << 33) + 7, 80}, {3, 80}};
  const Schedule schedule = plan(items, 132, kModel);
  EXPECT_LT(schedule.makespan, 1.05 * 80 * 0x1p40 / 132);
}

TEST_P(Limits, TheSameAgain) {
  Random random(2);
  Schedule reused;
  for (int i = 0; i < 300; ++i) {
    const int num_parts = kNumParts[random() % kNumParts.size()];
    const std::vector<Item> items =
        draw(kLengths[random() % 6], draw_batch(num_parts, random), draw_mean(random) / 10, 80, random);
    GetParam()(items, num_parts, kModel, reused);
    ASSERT_TRUE(same(reused, plan(items, num_parts, kModel))) << describe(items, num_parts, kModel);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, Limits, testing::Values(plan_balanced, plan_invariant),
                         [](const auto& instance) { return instance.index == 0 ? "balanced" : "invariant"; });

void expect_refused(const Schedule& schedule, int num_parts) {
  EXPECT_TRUE(schedule.units.empty());
  EXPECT_TRUE(schedule.num_splits.empty());
  EXPECT_EQ(schedule.part_begin, std::vector<int32_t>(num_parts + 1, 0));
  EXPECT_TRUE(std::isinf(schedule.makespan));
}

TEST(Refused, MoreItemsThanNumbers) {
  const Item item;
  Schedule schedule;
  plan_balanced(std::span(&item, INT32_MAX - 4 * 7 + 1), 7, kModel, schedule);  // refused before any is read
  expect_refused(schedule, 7);
}

TEST(Refused, MoreInvariantUnitsThanNumbers) {
  const std::vector<Item> items(2'200'000, Item{100'000'000, 80});
  Schedule schedule;
  plan_invariant(items, 2, kModel, schedule);
  expect_refused(schedule, 2);
  plan_invariant(std::span(items).first(1), 2, kModel, schedule);
  EXPECT_EQ(schedule.num_splits.front(), 1024);
}

}  // namespace
}  // namespace flash_mla::plan::test
