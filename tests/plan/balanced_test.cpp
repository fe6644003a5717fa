// plan_balanced over a grid of batches: every token once, and within 1.10 of what no schedule can beat.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "batches.h"
#include "schedule_check.h"

namespace flash_mla::plan::test {
namespace {

#if defined(NDEBUG) && defined(__x86_64__)
constexpr int kStride = 1;
#else
constexpr int kStride = 16;  // sanitizers and emulation are slow
#endif

struct Worst {
  double ratio = 0;
  std::string batch;
};

/// A bound that is cheap where that proves enough: the mean load, else ideal_makespan().
double bound_for(std::span<const Item> items, int num_parts, const CostModel& model, double makespan) {
  double total = 0;
  for (const Item& item : items) total += model.unit_cost + static_cast<double>(item.tokens) * item.token_cost;
  const double mean = total / num_parts;
  return makespan <= 1.02 * mean ? mean : ideal_makespan(items, num_parts, model);
}

class Balanced : public testing::TestWithParam<int> {};

TEST_P(Balanced, EveryTokenOnceAndWithinATenthOfTheIdeal) {
  const int num_parts = GetParam();
  Random random(static_cast<uint64_t>(num_parts));
  Schedule schedule;
  Worst worst;
  double sum = 0;
  int cases = 0;
  int skipped = 0;
  for (const CostModel& model : cost_models()) {
    for (const double token_cost : kTokenCosts) {
      for (const Lengths lengths : kLengths) {
        for (int repeat = 0; repeat < 3; ++repeat) {
          const int batch = draw_batch(num_parts, random);
          const std::vector<Item> items = draw(lengths, batch, draw_mean(random), token_cost, random);
          if (skipped++ % kStride != 0) continue;
          plan_balanced(items, num_parts, model, schedule);
          ASSERT_EQ(complaint(items, num_parts, model, schedule), "") << describe(items, num_parts, model);
          const double ratio = schedule.makespan / bound_for(items, num_parts, model, schedule.makespan);
          EXPECT_GE(ratio, 1 - 1e-9) << describe(items, num_parts, model);
          EXPECT_LE(ratio, 1.10) << describe(items, num_parts, model);
          sum += ratio;
          ++cases;
          if (ratio > worst.ratio) {
            worst = {ratio, fmt::format("{}, {}", name_of(lengths), describe(items, num_parts, model))};
          }
        }
      }
    }
  }
  fmt::print("{} parts: {} batches, mean {:.4f} of the ideal, worst {:.4f}: {}\n", num_parts, cases, sum / cases,
             worst.ratio, worst.batch);
}

INSTANTIATE_TEST_SUITE_P(Parts, Balanced, testing::ValuesIn(kNumParts));

}  // namespace
}  // namespace flash_mla::plan::test
