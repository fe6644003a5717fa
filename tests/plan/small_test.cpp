// Small batches, where the best schedule is known: the bound is a bound, and the planner near the best.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "batches.h"
#include "brute_force.h"
#include "schedule_check.h"

namespace flash_mla::plan::test {
namespace {

#if defined(NDEBUG) && defined(__x86_64__)
constexpr int kBatches = 5000;
#else
constexpr int kBatches = 300;
#endif

struct Small {
  std::vector<Item> items;
  int num_parts;
  CostModel model;
};

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  /// Costs like those of a CPU.
  Small real() {
    const CostModel model = {1e3 * between(3, 10), 1e3 * between(3, 30), between(0, 1) ? 16 : 64};
    return small(model, kTokenCosts[between(0, 1)]);
  }
  /// Any small costs, zero too.
  Small any() {
    const CostModel model = {1.0 * between(0, 10), 1.0 * between(0, 20), between(1, 3)};
    return small(model, between(0, 5));
  }

 private:
  int between(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }

  Small small(const CostModel& model, double token_cost) {
    Small small = {{}, between(1, 4), model};
    small.items.assign(between(1, small.num_parts == 4 ? 3 : 4), Item{0, token_cost});
    for (Item& item : small.items) item.tokens = between(0, static_cast<int>(5 * model.quantum));
    return small;
  }

  Random random_;
};

struct Seen {
  double worst_plan = 1;   ///< of the best
  double worst_bound = 1;  ///< the best, of the bound
  int tight = 0;           ///< batches where a bound a thousandth higher would be found out
};

void expect_near_best(const Small& small, Seen& seen) {
  const auto& [items, num_parts, model] = small;
  Schedule schedule;
  plan_balanced(items, num_parts, model, schedule);
  ASSERT_EQ(complaint(items, num_parts, model, schedule), "") << describe(items, num_parts, model);
  const double best = best_makespan(items, num_parts, model);
  const double bound = ideal_makespan(items, num_parts, model);
  EXPECT_LE(bound, best * (1 + 1e-9)) << describe(items, num_parts, model);
  EXPECT_GE(schedule.makespan, best * (1 - 1e-9)) << describe(items, num_parts, model);
  EXPECT_LE(schedule.makespan, best * 1.10) << describe(items, num_parts, model);
  if (best == 0) return;
  seen.worst_plan = std::max(seen.worst_plan, schedule.makespan / best);
  seen.worst_bound = std::max(seen.worst_bound, best / bound);
  seen.tight += bound * 1.001 > best ? 1 : 0;
}

TEST(SmallBatches, BoundsHoldAndPlansAreNearTheBest) {
  Seen seen;
  Draw draw(1);
  for (int i = 0; i < kBatches && !HasFatalFailure(); ++i) {
    expect_near_best(draw.real(), seen);
    expect_near_best(draw.any(), seen);
  }
  EXPECT_GT(seen.tight, kBatches);
  fmt::print("{} small batches: worst plan {:.4f} of the best, worst best {:.4f} of the bound, {} bounds tight\n",
             2 * kBatches, seen.worst_plan, seen.worst_bound, seen.tight);
}

TEST(SmallBatches, ByHand) {
  const CostModel model = {3, 2, 4};
  const std::vector<Item> one = {{16, 1}};
  EXPECT_DOUBLE_EQ(best_makespan(one, 1, model), 19);
  EXPECT_DOUBLE_EQ(best_makespan(one, 2, model), 5 + 8);
  EXPECT_DOUBLE_EQ(best_makespan(one, 4, model), 5 + 4);
  EXPECT_DOUBLE_EQ(best_makespan(one, 5, model), 5 + 4);
  const std::vector<Item> two = {{9, 1}, {0, 1}};
  EXPECT_DOUBLE_EQ(best_makespan(two, 2, model), 12) << "whole beside empty: 9 keys and 3; 4 and 5 keys: 9 + 3 and 10";
  EXPECT_DOUBLE_EQ(best_makespan(two, 3, model), 9) << "4, 4, and 1 beside the empty one: 6 + 3";
}

}  // namespace
}  // namespace flash_mla::plan::test
