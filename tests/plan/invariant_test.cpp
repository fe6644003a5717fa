// plan_invariant: an item's splits do not depend on anything else, and what that costs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "batches.h"
#include "schedule_check.h"

namespace flash_mla::plan::test {
namespace {

Schedule plan(std::span<const Item> items, int num_parts, const CostModel& model) {
  Schedule schedule;
  plan_invariant(items, num_parts, model, schedule);
  EXPECT_EQ(complaint(items, num_parts, model, schedule, Order::any), "") << describe(items, num_parts, model);
  return schedule;
}

/// Where an item's units begin.
std::vector<int64_t> borders(const Schedule& schedule, int32_t item) {
  std::vector<int64_t> borders;
  for (const Unit& unit : schedule.units) {
    if (unit.item == item) borders.push_back(unit.begin);
  }
  std::sort(borders.begin(), borders.end());
  return borders;
}

TEST(Invariant, BordersFollowFromTheItemAlone) {
  Random random(1);
  for (const CostModel& model : cost_models()) {
    for (const double token_cost : kTokenCosts) {
      std::vector<Item> items = draw(Lengths::wide, 8, draw_mean(random), token_cost, random);
      items.push_back({0, token_cost});
      for (const Item& item : items) {
        const std::vector<int64_t> alone = borders(plan(std::span(&item, 1), 1, model), 0);
        for (const int num_parts : {1, 2, 7, 132, 1024}) {
          std::vector<Item> batch = draw(kLengths[random() % 6], draw_batch(16, random), 500, token_cost, random);
          const auto place = static_cast<int32_t>(random() % batch.size());
          batch[place] = item;
          EXPECT_EQ(borders(plan(batch, num_parts, model), place), alone) << describe(batch, num_parts, model);
        }
      }
    }
  }
}

TEST(Invariant, SplittingAddsAtMostAnEighth) {
  Random random(2);
  for (const CostModel& model : cost_models()) {
    for (int i = 0; i < 50; ++i) {
      const std::vector<Item> item = draw(Lengths::uniform, 1, draw_mean(random), 80, random);
      const double whole = model.unit_cost + static_cast<double>(item[0].tokens) * 80;
      const double makespan = plan(item, 1, model).makespan;
      EXPECT_GE(makespan, whole * (1 - 1e-9));
      EXPECT_LE(makespan, whole * 1.125);
    }
  }
}

TEST(Invariant, LongItemsAreSplitOverManyParts) {
  const CostModel model = {5000, 10000, 16};
  const Item item = {131072, 80};
  const Schedule schedule = plan(std::span(&item, 1), 64, model);
  EXPECT_GE(schedule.num_splits[0], 64);
  const double alone = model.unit_cost + 131072 * 80.0;
  EXPECT_LE(schedule.makespan, alone / 32);
}

/// The units as items that cannot be split: what is left to do once the splits are fixed.
double bound_of_units(std::span<const Item> items, int num_parts, const CostModel& model, const Schedule& schedule) {
  std::vector<Item> units;
  for (const Unit& unit : schedule.units) {
    const double split = schedule.num_splits[unit.item] > 1 ? model.split_cost : 0;
    units.push_back({1, split + static_cast<double>(unit.end - unit.begin) * items[unit.item].token_cost});
  }
  double total = 0;
  for (const Item& unit : units) total += model.unit_cost + unit.token_cost;
  if (schedule.makespan <= 1.02 * total / num_parts) return total / num_parts;
  return ideal_makespan(units, num_parts, {model.unit_cost, 0, 1});
}

TEST(Invariant, UnitsAreBalanced) {
  Random random(3);
  double worst = 0;
  std::string worst_batch;
  for (const CostModel& model : cost_models()) {
    for (const int num_parts : kNumParts) {
      const double token_cost = kTokenCosts[random() % 2];
      const Lengths lengths = kLengths[random() % 6];
      const std::vector<Item> items =
          draw(lengths, draw_batch(num_parts, random), std::min(20e3, draw_mean(random)), token_cost, random);
      const Schedule schedule = plan(items, num_parts, model);
      const double ratio = schedule.makespan / bound_of_units(items, num_parts, model, schedule);
      EXPECT_GE(ratio, 1 - 1e-9) << describe(items, num_parts, model);
      EXPECT_LE(ratio, 1.10) << describe(items, num_parts, model);
      if (ratio > worst) worst_batch = fmt::format("{}, {}", name_of(lengths), describe(items, num_parts, model));
      worst = std::max(worst, ratio);
    }
  }
  fmt::print("invariant: worst {:.4f} of the ideal for its own units: {}\n", worst, worst_batch);
}

}  // namespace
}  // namespace flash_mla::plan::test
