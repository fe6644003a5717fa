// The fast reference is the reference: both in float64, over one family of every kind.
#include <gtest/gtest.h>

#include <cmath>

#include "check/data_set.h"
#include "check/fast_reference.h"
#include "check/grid.h"

namespace flash_mla::cli {
namespace {

/// Small enough for the plain reference.
std::vector<Family> small_families() {
  constexpr double kMostFlop = 1e7;
  std::vector<Family> families = whole_grid(Extent::quick, 7);
  for (Family& family : families) {
    std::erase_if(family.cases, [&](const Case& one) { return flop_of(family.data, one) > kMostFlop; });
  }
  // The data of a family serves its largest case.
  std::erase_if(families, [](const Family& family) {
    return std::none_of(family.cases.begin(), family.cases.end(), [&](const Case& one) {
      return one.h_q == family.data.shape.h_q && (one.s_q == family.data.shape.s_q || one.s_q == 0);
    });
  });
  return families;
}

/// Largest difference, relative to the largest value of the row.
double worst_difference(const std::vector<double>& fast, const std::vector<double>& plain, size_t row) {
  double worst = 0;
  for (size_t first = 0; first < plain.size(); first += row) {
    double size = 0;
    double difference = 0;
    for (size_t i = first; i < first + row; ++i) {
      size = std::max(size, std::fabs(plain[i]));
      difference = std::max(difference, std::fabs(fast[i] - plain[i]));
    }
    if (difference > 0) worst = std::max(worst, difference / size);
  }
  return worst;
}

double worst_lse_difference(const std::vector<double>& fast, const std::vector<double>& plain) {
  double worst = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    if (fast[i] == plain[i]) continue;  // both -inf, too
    worst = std::max(worst, std::fabs(fast[i] - plain[i]) / std::max(1.0, std::fabs(plain[i])));
  }
  return worst;
}

class FastReference : public testing::TestWithParam<std::string> {};

TEST_P(FastReference, EqualsThePlainOne) {
  DataSet data;
  std::vector<std::string> groups;
  const std::vector<Family> families = small_families();
  for (size_t i = 0; i < families.size(); ++i) {
    const Family& family = families[i];
    // All of a group's kinds are there in a few; every fifth of the rest keeps the plain reference from taking minutes.
    if (std::count(groups.begin(), groups.end(), family.data.group) > 3 && i % 5 != 0) continue;
    groups.push_back(family.data.group);
    data.build(family.data);
    const int64_t d_v = family.data.shape.d_v;
    const Result<ReferenceResult> plain = reference_decode(data.args(), family.data.mask, d_v);
    ASSERT_TRUE(plain.ok()) << plain.status().message();
    const ReferenceResult fast = fast_reference(data.args(), family.data.mask, d_v, GetParam());
    const std::string what = describe(family.data, family.cases.front());
    ASSERT_EQ(fast.out.size(), plain.value().out.size()) << what;
    ASSERT_EQ(fast.lse.size(), plain.value().lse.size()) << what;
    EXPECT_LT(worst_difference(fast.out, plain.value().out, static_cast<size_t>(d_v)), 1e-12) << what;
    EXPECT_LT(worst_lse_difference(fast.lse, plain.value().lse), 1e-12) << what;
  }
  EXPECT_GT(groups.size(), 30U);
}

INSTANTIATE_TEST_SUITE_P(Variants, FastReference, testing::ValuesIn(fast_reference_variants()),
                         [](const testing::TestParamInfo<std::string>& tested) { return tested.param; });

TEST(FastReferenceVariants, EndWithThePortableOne) {
  EXPECT_EQ(fast_reference_variants().back(), "portable");
}

}  // namespace
}  // namespace flash_mla::cli
