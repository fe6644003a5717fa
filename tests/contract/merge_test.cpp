// merge(): the log-sum-exp merge of partial results.
#include "flash_mla/merge.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/accuracy.h"
#include "support/random.h"
#include "support/run.h"

namespace flash_mla::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Part {
  Array out;
  Array lse;
  [[nodiscard]] PartialResult view() const { return {out.view(), lse.view()}; }
};

/// [2, 3, 4, 33] or ragged [5, 4, 33].
Part make_part(DType dtype, bool ragged, const Layout& out_layout = {}, const Layout& lse_layout = {}) {
  if (ragged) return {Array(dtype, {5, 4, 33}, out_layout), Array(DType::float32, {4, 5}, lse_layout)};
  return {Array(dtype, {2, 3, 4, 33}, out_layout), Array(DType::float32, {2, 4, 3}, lse_layout)};
}

template <class Visit>
void for_each_row(bool ragged, Visit visit) {
  for (int64_t sequence = 0; sequence < (ragged ? 1 : 2); ++sequence) {
    for (int64_t token = 0; token < (ragged ? 5 : 3); ++token) {
      for (int64_t head = 0; head < 4; ++head) visit(sequence, token, head);
    }
  }
}

void set_row(Part& part, bool ragged, int64_t sequence, int64_t token, int64_t head, double lse, auto value_of) {
  ragged ? part.lse.set(lse, head, token) : part.lse.set(lse, sequence, head, token);
  for (int64_t column = 0; column < 33; ++column) {
    const double value = value_of(column);
    ragged ? part.out.set(value, token, head, column) : part.out.set(value, sequence, token, head, column);
  }
}

Part random_part(DType dtype, bool ragged, uint64_t seed, double spread = 4, const Layout& out_layout = {},
                 const Layout& lse_layout = {}) {
  Part part = make_part(dtype, ragged, out_layout, lse_layout);
  for_each_row(ragged, [&](int64_t sequence, int64_t token, int64_t head) {
    const uint64_t row = mix(seed, static_cast<uint64_t>(sequence), token, head);
    set_row(part, ragged, sequence, token, head, normal(row) * spread,
            [&](int64_t column) { return normal(mix(row, static_cast<uint64_t>(column))); });
  });
  return part;
}

Part empty_part(DType dtype, bool ragged, double holds) {
  Part part = make_part(dtype, ragged);
  for_each_row(ragged, [&](int64_t sequence, int64_t token, int64_t head) {
    set_row(part, ragged, sequence, token, head, -kInfinity, [&](int64_t) { return holds; });
  });
  return part;
}

Part merged(const std::vector<PartialResult>& parts, DType dtype, bool ragged) {
  Part result = make_part(dtype, ragged);
  const Status status = merge(parts, result.out.view(), result.lse.view());
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(result.out.surroundings_intact() && result.lse.surroundings_intact());
  return result;
}

void expect_same(const Part& actual, const Part& expected) {
  EXPECT_TRUE(actual.out.bits() == expected.out.bits());
  EXPECT_TRUE(actual.lse.bits() == expected.lse.bits());
}

/// Of an element of both, in units in the last place of the largest value that went into it.
double worst_ulp(const Array& a, const Array& b, double largest) {
  const std::vector<double> x = a.values(), y = b.values();
  const double ulp = std::ldexp(std::numeric_limits<float>::epsilon(), std::ilogb(largest));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::fabs(x[i] - y[i]) / ulp);
  return worst;
}

class Merge : public testing::TestWithParam<std::tuple<DType, bool>> {
 protected:
  DType dtype_ = std::get<0>(GetParam());
  bool ragged_ = std::get<1>(GetParam());
};

TEST_P(Merge, OnePartIsCopied) {
  Part part = random_part(dtype_, ragged_, 1);
  set_row(part, ragged_, 0, 1, 2, -kInfinity, [](int64_t) { return 0.0; });
  set_row(part, ragged_, 0, 2, 3, 100, [](int64_t column) { return column % 2 == 0 ? -0.0 : 65504.0; });
  expect_same(merged({part.view()}, dtype_, ragged_), part);
}

TEST_P(Merge, EmptyPartsAddNothingWhateverTheyHold) {
  const Part part = random_part(dtype_, ragged_, 1);
  for (const double holds : {kNan, kInfinity, 7.0}) {
    const Part empty = empty_part(dtype_, ragged_, holds);
    expect_same(merged({empty.view(), part.view()}, dtype_, ragged_), part);
    expect_same(merged({part.view(), empty.view(), empty.view()}, dtype_, ragged_), part);
  }
}

TEST_P(Merge, OnlyEmptyPartsGiveAnEmptyRow) {
  const Part nan = empty_part(dtype_, ragged_, kNan), zero = empty_part(dtype_, ragged_, 0);
  expect_same(merged({nan.view()}, dtype_, ragged_), zero);
  expect_same(merged({nan.view(), nan.view()}, dtype_, ragged_), zero);
}

TEST_P(Merge, TwoEqualPartsAreOneOfTwiceTheWeight) {
  const Part part = random_part(dtype_, ragged_, 1);
  const Part twice = merged({part.view(), part.view()}, dtype_, ragged_);
  EXPECT_EQ(twice.out.values(), part.out.values());
  const std::vector<double> lse = twice.lse.values(), once = part.lse.values();
  for (size_t i = 0; i < lse.size(); ++i) EXPECT_NEAR(lse[i], once[i] + std::log(2.0), 1e-6);
}

TEST_P(Merge, FollowsTheFormula) {
  const Part a = random_part(dtype_, ragged_, 1), b = random_part(dtype_, ragged_, 2),
             c = random_part(dtype_, ragged_, 3);
  const Part result = merged({a.view(), b.view(), c.view()}, DType::float32, ragged_);
  for_each_row(ragged_, [&](int64_t sequence, int64_t token, int64_t head) {
    const auto lse = [&](const Part& of) {
      return ragged_ ? of.lse.get(head, token) : of.lse.get(sequence, head, token);
    };
    const auto out = [&](const Part& of, int64_t column) {
      return ragged_ ? of.out.get(token, head, column) : of.out.get(sequence, token, head, column);
    };
    const double sum = std::exp(lse(a)) + std::exp(lse(b)) + std::exp(lse(c));
    EXPECT_NEAR(lse(result), std::log(sum), 1e-6);
    for (int64_t column = 0; column < 33; ++column) {
      const double expected =
          (std::exp(lse(a)) * out(a, column) + std::exp(lse(b)) * out(b, column) + std::exp(lse(c)) * out(c, column)) /
          sum;
      EXPECT_NEAR(out(result, column), expected, 1e-6);
    }
  });
}

TEST_P(Merge, StridesChangeNoBit) {
  const Part a = random_part(dtype_, ragged_, 1), b = random_part(dtype_, ragged_, 2);
  const Layout padded{.slack = {1, 3, 2, 5}, .offset = 1}, spread{.slack = {2, 1, 1}, .last_stride = 3, .offset = 1};
  const Layout turned{.order = ragged_ ? std::vector{1, 0, 2} : std::vector{2, 1, 0, 3}};
  const Layout turned_lse{.order = ragged_ ? std::vector{1, 0} : std::vector{2, 1, 0}};
  const Part a_padded = random_part(dtype_, ragged_, 1, 4, padded, spread);
  const Part b_turned = random_part(dtype_, ragged_, 2, 4, turned, turned_lse);
  const Part expected = merged({a.view(), b.view()}, dtype_, ragged_);
  Part result = make_part(dtype_, ragged_, padded, spread);
  ASSERT_TRUE(merge(std::vector{a_padded.view(), b_turned.view()}, result.out.view(), result.lse.view()).ok());
  expect_same(result, expected);
  EXPECT_TRUE(result.out.surroundings_intact() && result.lse.surroundings_intact());
}

TEST_P(Merge, IntoOneOfTheParts) {
  const Part a = random_part(dtype_, ragged_, 1);
  Part b = random_part(dtype_, ragged_, 2);
  const Part expected = merged({a.view(), b.view(), a.view()}, dtype_, ragged_);
  ASSERT_TRUE(merge(std::vector{a.view(), b.view(), a.view()}, b.out.view(), b.lse.view()).ok());
  expect_same(b, expected);
}

TEST_P(Merge, FarApartAndHugeWeights) {
  Part a = random_part(dtype_, ragged_, 1), b = random_part(dtype_, ragged_, 2);
  for (const double lse : {-1000.0, 1000.0, 3e38, -3e38}) {
    for_each_row(ragged_, [&](int64_t sequence, int64_t token, int64_t head) {
      ragged_ ? a.lse.set(lse, head, token) : a.lse.set(lse, sequence, head, token);
    });
    expect_same(merged({a.view(), b.view()}, dtype_, ragged_), lse > 0 ? a : b);
  }
}

TEST_P(Merge, NanStaysInItsRow) {
  Part a = random_part(dtype_, ragged_, 1);
  const Part b = random_part(dtype_, ragged_, 2);
  const Part clean = merged({a.view(), b.view()}, DType::float32, ragged_);
  set_row(a, ragged_, 0, 1, 2, kNan, [](int64_t) { return kNan; });
  Part result = merged({a.view(), b.view()}, DType::float32, ragged_);
  for (int64_t column = 0; column < 33; ++column) {
    EXPECT_TRUE(std::isnan(ragged_ ? result.out.get(1, 2, column) : result.out.get(0, 1, 2, column)));
  }
  const auto patch = [&](int64_t column) {
    return ragged_ ? clean.out.get(1, 2, column) : clean.out.get(0, 1, 2, column);
  };
  set_row(result, ragged_, 0, 1, 2, ragged_ ? clean.lse.get(2, 1) : clean.lse.get(0, 2, 1), patch);
  expect_same(result, clean);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, Merge, testing::Combine(testing::Values(DType::float32, DType::bfloat16, DType::float16), testing::Bool()),
    [](const auto& of) {
      return std::string(name_of(std::get<0>(of.param))) + (std::get<1>(of.param) ? "_ragged" : "_uniform");
    });

TEST(MergeFloat32, AssociativeWithin4Ulp) {
  double worst_out = 0, worst_lse = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const double spread = seed % 4 == 0 ? 0 : static_cast<double>(seed % 4) * 4;
    Part parts[3];
    for (uint64_t i = 0; i < 3; ++i) parts[i] = random_part(DType::float32, false, mix(seed, i), spread);
    if (seed % 5 == 0) parts[seed % 3] = empty_part(DType::float32, false, kNan);
    const Part ab = merged({parts[0].view(), parts[1].view()}, DType::float32, false);
    const Part bc = merged({parts[1].view(), parts[2].view()}, DType::float32, false);
    const Part left = merged({ab.view(), parts[2].view()}, DType::float32, false);
    const Part right = merged({parts[0].view(), bc.view()}, DType::float32, false);
    const Part all = merged({parts[0].view(), parts[1].view(), parts[2].view()}, DType::float32, false);
    // Values lie within +-3.47, lse within +-3.47 * spread, and at least log 3 above that once merged.
    for (const Part* other : {&right, &all}) {
      worst_out = std::max(worst_out, worst_ulp(left.out, other->out, 3.47));
      worst_lse = std::max(worst_lse, worst_ulp(left.lse, other->lse, std::max(1.0, 3.47 * spread)));
    }
  }
  EXPECT_LE(worst_out, 4);
  EXPECT_LE(worst_lse, 4);
  RecordProperty("worst_ulp_of_out", std::to_string(worst_out));
  RecordProperty("worst_ulp_of_lse", std::to_string(worst_lse));
}

// A prefix decoded without masks, the rest decoded causally, merged: the attention over all keys.
TEST(MergeFloat32, IsTheAttentionOverTheUnionOfTheKeys) {
  SceneSpec spec{.shape = {.dtype = DType::bfloat16,
                           .out_dtype = DType::float32,
                           .s_q = 3,
                           .h_q = 6,
                           .d = 80,
                           .d_v = 64,
                           .page_size = 16},
                 .seqlens = {90, 51, 53, 200},
                 .mask = {.causal = true}};
  const Scene whole(spec);
  for (const std::string& backend : usable_backends()) {
    const int64_t prefix_pages = 3;  // 48 tokens, which every query sees
    Output prefix(whole), rest(whole);
    const auto run_part = [&](bool is_prefix, Output& output) {
      std::vector<int32_t> lengths;
      for (const int32_t length : spec.seqlens) lengths.push_back(is_prefix ? 48 : length - 48);
      PlanSpec plan_spec = whole.plan_spec();
      plan_spec.seqlens = lengths.data();
      plan_spec.mask.causal = !is_prefix;
      plan_spec.backend = backend;
      const Plan plan = Plan::make(plan_spec).value();
      const Memory workspace(plan.workspace_size(), Border::poison);
      DecodeArgs args = whole.args();
      args.seqlens = ConstTensor(lengths.data(), DType::int32, {4});
      if (!is_prefix) {
        args.page_table.data = static_cast<const int32_t*>(args.page_table.data) + prefix_pages;
        args.page_table.shape[1] -= prefix_pages;
      }
      args.out = output.out.view();
      args.lse = output.lse.view();
      args.workspace = workspace.data();
      args.workspace_size = workspace.size();
      const Status status = decode(plan, args);
      ASSERT_TRUE(status.ok()) << status.message();
    };
    run_part(true, prefix);
    run_part(false, rest);
    Output both(whole);
    const std::vector<PartialResult> parts = {{prefix.out.view(), prefix.lse.view()},
                                              {rest.out.view(), rest.lse.view()}};
    ASSERT_TRUE(merge(parts, both.out.view(), both.lse.view()).ok());
    EXPECT_TRUE(is_accurate(whole, both, whole.reference())) << backend;
  }
}

}  // namespace
}  // namespace flash_mla::test
