// The judge of `check`: the contract's bars, with numbers worked out by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "check/compare.h"

namespace flash_mla::cli {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr float kInfinityF = std::numeric_limits<float>::infinity();
const float kNaNF = std::nanf("");

Errors compare(const std::vector<float>& out, const std::vector<double>& expected, double lse = 0) {
  return compare_row(out.data(), expected.data(), static_cast<int64_t>(out.size()), lse);
}

TEST(CompareRow, EqualRowsHaveNoError) {
  const Errors errors = compare({1, -2, 0.5F}, {1, -2, 0.5});
  EXPECT_EQ(errors.missed_rows, 0);
  EXPECT_EQ(errors.out_abs, 0);
  EXPECT_EQ(errors.out_cos, 0);
  EXPECT_EQ(errors.ratio_to_bar, 0);
}

TEST(CompareRow, AnElementPassesWithEitherBar) {
  // A large neighbour keeps the cosine small. 7e-4 of 0.001: absolute. 0.15 of 10: relative, 0.015 < 2.01 / 128.
  EXPECT_EQ(compare({100, 0.0017F}, {100, 0.001}).missed_rows, 0);
  EXPECT_EQ(compare({1000, 10.15F}, {1000, 10}).missed_rows, 0);
  EXPECT_EQ(compare({100, 0.0019F}, {100, 0.001}).missed_rows, 1);
  EXPECT_EQ(compare({1000, 10.16F}, {1000, 10}).missed_rows, 1);
}

TEST(CompareRow, RatioToBarIsThatOfTheBetterBar) {
  const Errors errors = compare({100, 0.0014F}, {100, 0.001});
  EXPECT_NEAR(errors.out_abs, 4e-4, 1e-9);
  EXPECT_NEAR(errors.ratio_to_bar, 0.5, 1e-5);
}

TEST(CompareRow, CosineIsThatOfTheWholeRow) {
  // x = (1 + e) y has the distance e^2 / (1 + (1 + e)^2), about e^2 / 2: 4.97e-6 for e = 0.0031622 passes, 0.0033 does
  // not.
  std::vector<double> expected(64, 1e-3);
  std::vector<float> out(64, static_cast<float>(1e-3 * 1.00315));
  EXPECT_EQ(compare(out, expected).missed_rows, 0);
  out.assign(64, static_cast<float>(1e-3 * 1.0033));
  const Errors errors = compare(out, expected);
  EXPECT_EQ(errors.missed_rows, 1);
  EXPECT_NEAR(errors.out_cos, 0.0033 * 0.0033 / 2, 5e-8);
  EXPECT_NE(errors.first_miss.find("cosine distance"), std::string::npos) << errors.first_miss;
}

TEST(CompareRow, AnomaliesHaveToBeInTheSamePlaces) {
  EXPECT_EQ(compare({1, kNaNF}, {1, std::nan("")}).missed_rows, 0);
  EXPECT_EQ(compare({1, kInfinityF}, {1, kInfinity}).missed_rows, 0);
  EXPECT_EQ(compare({1, kNaNF}, {1, 2}).missed_rows, 1);
  EXPECT_EQ(compare({1, 2}, {1, std::nan("")}).missed_rows, 1);
  EXPECT_EQ(compare({1, kInfinityF}, {1, -kInfinity}).missed_rows, 1);
  EXPECT_EQ(compare({1, kInfinityF}, {1, std::nan("")}).missed_rows, 1);
}

TEST(CompareRow, ARowWithoutKeysIsExactlyZero) {
  EXPECT_EQ(compare({0, 0}, {0, 0}, -kInfinity).missed_rows, 0);
  EXPECT_EQ(compare({0, -0.0F}, {0, 0}, -kInfinity).missed_rows, 0);
  EXPECT_EQ(compare({0, 1e-7F}, {0, 0}, -kInfinity).missed_rows, 1);
  EXPECT_EQ(compare({0, 1e-7F}, {0, 0}, 0).missed_rows, 0);
}

TEST(CompareLse, HasAnAbsoluteAndARelativeBarAndTheCpusOwn) {
  EXPECT_EQ(compare_lse(1e-6F, 1e-7).missed_rows, 0);    // 9e-7 absolute
  EXPECT_EQ(compare_lse(1.1e-6F, 5e-8).missed_rows, 1);  // 1.05e-6, and not relative either
  EXPECT_EQ(compare_lse(0.10001F, 0.1).missed_rows, 0);  // 1e-5: 1e-4 relative
  EXPECT_EQ(compare_lse(0.10002F, 0.1).missed_rows, 1);  // 2e-4 relative
  EXPECT_EQ(compare_lse(1.00003F, 1).missed_rows, 1);    // 3e-5 relative, but beyond 2e-5
  EXPECT_EQ(compare_lse(1.00003F, 1, true).missed_rows, 0);
  EXPECT_EQ(compare_lse(1.00013F, 1, true).missed_rows, 1);
}

TEST(CompareLse, InfinitiesAndNaN) {
  EXPECT_EQ(compare_lse(-kInfinityF, -kInfinity).missed_rows, 0);
  EXPECT_EQ(compare_lse(kInfinityF, -kInfinity).missed_rows, 1);
  EXPECT_EQ(compare_lse(kNaNF, -kInfinity).missed_rows, 1);
  EXPECT_EQ(compare_lse(-100.0F, -kInfinity).missed_rows, 1);
  EXPECT_EQ(compare_lse(-kInfinityF, 0).missed_rows, 1);
}

TEST(Errors, MergeKeepsTheWorstAndTheFirstMiss) {
  Errors all = compare({1, 1}, {1, 1});
  all.merge(compare({1, kNaNF}, {1, 2}));
  all.merge(compare({5, 1}, {1, 1}));
  EXPECT_EQ(all.missed_rows, 2);
  EXPECT_NE(all.first_miss.find("column 1 is nan, expected 2"), std::string::npos) << all.first_miss;
  EXPECT_EQ(all.out_abs, 4);
  EXPECT_EQ(all.ratio_to_bar, kInfinity);
}

}  // namespace
}  // namespace flash_mla::cli
