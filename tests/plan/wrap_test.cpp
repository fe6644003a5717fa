// The device's planner, on the host: every quantum once, some target always works, and how far from the ideal it is.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "batches.h"
#include "plan/wrap.h"
#include "schedule_check.h"

namespace flash_mla::plan::test {
namespace {

constexpr int64_t kQuantum = 64;

struct Wrapped {
  Schedule schedule;
  int64_t target = -1;
  int64_t pieces = 0;
};

/// Items are numbered dearest first and are whole quanta.
Wrapped plan_wrapped(std::span<const Item> items, int num_parts, const WrapModel& model) {
  const auto num_items = static_cast<int32_t>(items.size());
  const auto quanta_of = [&](int32_t item) { return static_cast<int32_t>(items[item].tokens / kQuantum); };
  std::vector<int64_t> loads(num_parts);
  const auto load_of = [&](int32_t part) -> int64_t& { return loads[part]; };
  int64_t total = 0;
  for (int32_t item = 0; item < num_items; ++item) total += model.whole(quanta_of(item));
  Wrapped result;
  for (int32_t i = 0; i < kWrapTargets && result.target < 0; ++i) {
    const int64_t target = wrap_target(total, num_parts, model, i);
    if (wrap(num_items, num_parts, model, target, quanta_of, load_of, [](int32_t, const WrapUnit&) {})) {
      result.target = target;
    }
  }
  std::vector<std::vector<Unit>> parts(num_parts);
  result.schedule.num_splits.assign(items.size(), 0);
  wrap(num_items, num_parts, model, result.target, quanta_of, load_of, [&](int32_t part, const WrapUnit& unit) {
    const int64_t begin = unit.begin * kQuantum;
    parts[part].push_back({unit.item, unit.split, begin, begin + unit.count * kQuantum});
    ++result.schedule.num_splits[unit.item];
    if (unit.split > 0 || !unit.is_last) ++result.pieces;
  });
  result.schedule.part_begin.push_back(0);
  for (const std::vector<Unit>& part : parts) {
    result.schedule.units.insert(result.schedule.units.end(), part.begin(), part.end());
    result.schedule.part_begin.push_back(static_cast<int32_t>(result.schedule.units.size()));
  }
  result.schedule.makespan = static_cast<double>(std::ranges::max(loads));
  return result;
}

class WrapAround : public testing::TestWithParam<int> {};

TEST_P(WrapAround, EveryTokenOnceAndSeldomATenthOverTheIdeal) {
  const int num_parts = GetParam();
  Random random(static_cast<uint64_t>(num_parts));
  const int repeats = 20;
  double worst = 0, sum = 0;
  int cases = 0, over = 0;
  std::string worst_batch;
  for (const int64_t split_cost : {1800, 2600, 7500, 30000}) {
    for (const int64_t unit_cost : {2000, 10000}) {
      const WrapModel model{unit_cost, split_cost, 2949};
      const CostModel costs{static_cast<double>(unit_cost), static_cast<double>(split_cost), kQuantum};
      const double token_cost = static_cast<double>(model.quantum_cost) / kQuantum;
      for (const Lengths lengths : kLengths) {
        for (int repeat = 0; repeat < repeats; ++repeat) {
          std::vector<Item> items = draw(lengths, draw_batch(num_parts, random), draw_mean(random), token_cost, random);
          for (Item& item : items) item.tokens = (item.tokens + kQuantum - 1) / kQuantum * kQuantum;
          std::ranges::sort(items, std::greater{}, &Item::tokens);
          const Wrapped wrapped = plan_wrapped(items, num_parts, model);
          const std::string batch = fmt::format("{}, {}", name_of(lengths), describe(items, num_parts, costs));
          ASSERT_GE(wrapped.target, 0) << batch;
          ASSERT_EQ(complaint(items, num_parts, costs, wrapped.schedule, Order::any), "") << batch;
          ASSERT_LE(wrapped.schedule.makespan, static_cast<double>(wrapped.target)) << batch;
          ASSERT_LE(wrapped.schedule.units.size(),
                    static_cast<size_t>(most_wrap_units(static_cast<int64_t>(items.size()), num_parts)));
          ASSERT_LE(wrapped.pieces, most_wrap_pieces(num_parts)) << batch;
          double mean = 0;
          for (const Item& item : items) {
            mean += (costs.unit_cost + static_cast<double>(item.tokens) * token_cost) / num_parts;
          }
          const double makespan = wrapped.schedule.makespan;
          const double ratio = makespan / (makespan <= 1.05 * mean ? mean : ideal_makespan(items, num_parts, costs));
          sum += ratio;
          ++cases;
          over += ratio > 1.10 ? 1 : 0;
          if (ratio > worst) worst = ratio, worst_batch = batch;
        }
      }
    }
  }
  fmt::print("{} parts: {} batches, mean {:.4f} of the ideal, {} over 1.10, worst {:.4f}: {}\n", num_parts, cases,
             sum / cases, over, worst, worst_batch);
  EXPECT_LE(sum / cases, 1.015);
  EXPECT_LE(over, cases / 50);
  EXPECT_LE(worst, 1.25);
}

INSTANTIATE_TEST_SUITE_P(Parts, WrapAround, testing::Values(78, 114, 132));

TEST(WrapAroundEdges, OnePartOneItemNone) {
  const WrapModel model{10, 5, 7};
  EXPECT_EQ(plan_wrapped(std::vector<Item>{{640, 1}}, 1, model).schedule.units.size(), 1u);
  EXPECT_TRUE(plan_wrapped({}, 3, model).schedule.units.empty());
  const Wrapped empty = plan_wrapped(std::vector<Item>{{0, 1}, {0, 1}}, 3, model);
  EXPECT_EQ(empty.schedule.units.size(), 2u);
  EXPECT_EQ(empty.schedule.makespan, 10);
}

}  // namespace
}  // namespace flash_mla::plan::test
