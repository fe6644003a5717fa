#include "support/accuracy.h"

#include <algorithm>
#include <cmath>

namespace flash_mla::test {
namespace {

constexpr double kOutAbsolute = 8e-4, kOutRelative = 2.01 / 128, kOutCosine = 5e-6;
constexpr double kLseAbsolute = 1e-6, kLseRelative = 8.01 / 65536, kLseAbsoluteCpu = 2e-5;
constexpr int64_t kLeastColumns = 64;

bool same_anomaly(double actual, double expected) {
  return std::isnan(expected) ? std::isnan(actual) : actual == expected;
}

bool either(double actual, double expected, double absolute, double relative) {
  const double error = std::fabs(actual - expected);
  return error <= absolute || error <= relative * std::fabs(expected);
}

testing::AssertionResult judge_row(const double* actual, const double* expected, int64_t columns, bool empty) {
  double xy = 0, xx = 0, yy = 0;
  bool finite = true;
  for (int64_t i = 0; i < columns; ++i) {
    const double x = actual[i], y = expected[i];
    const bool regular = std::isfinite(x) && std::isfinite(y);
    finite = finite && regular;
    const bool fits = empty ? x == 0 : regular ? either(x, y, kOutAbsolute, kOutRelative) : same_anomaly(x, y);
    if (!fits) return testing::AssertionFailure() << "column " << i << " is " << x << ", expected " << y;
    xy += x * y, xx += x * x, yy += y * y;
  }
  const double distance = yy > 1e-12 ? 1 - 2 * xy / (xx + yy) : 0;
  if (finite && columns >= kLeastColumns && distance > kOutCosine) {
    return testing::AssertionFailure() << "cosine distance " << distance;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult judge_lse_value(double actual, double expected) {
  const bool regular = std::isfinite(actual) && std::isfinite(expected);
  const bool fits =
      regular ? either(actual, expected, kLseAbsolute, kLseRelative) && std::fabs(actual - expected) <= kLseAbsoluteCpu
              : same_anomaly(actual, expected);
  if (fits) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "lse is " << actual << ", expected " << expected;
}

}  // namespace

testing::AssertionResult is_accurate(const Scene& scene, const Output& output, const ReferenceResult& reference,
                                     bool with_lse) {
  const DecodeShape& shape = scene.spec().shape;
  const std::vector<double> out = output.out.values(), lse = output.lse.values();
  if (out.size() != reference.out.size() || lse.size() != reference.lse.size()) {
    return testing::AssertionFailure() << "the reference has " << reference.out.size() << " elements, out "
                                       << out.size();
  }
  for (int64_t i = 0; i < shape.batch; ++i) {
    const int64_t s_q = scene.s_q(i), first = scene.first_query(i);
    for (int64_t token = 0; token < s_q; ++token) {
      for (int64_t head = 0; head < shape.h_q; ++head) {
        const int64_t row = ((first + token) * shape.h_q + head) * shape.d_v;
        const int64_t at =
            scene.ragged() ? head * scene.total_q() + first + token : (i * shape.h_q + head) * s_q + token;
        const bool empty = reference.lse[at] == -HUGE_VAL;
        testing::AssertionResult result = judge_row(&out[row], &reference.out[row], shape.d_v, empty);
        if (result && with_lse) result = judge_lse_value(lse[at], reference.lse[at]);
        if (!result) return result << " (sequence " << i << ", query " << token << ", head " << head << ")";
      }
    }
  }
  if (!output.surroundings_intact()) return testing::AssertionFailure() << "memory beside an output was written";
  if (!with_lse && !output.lse.untouched()) return testing::AssertionFailure() << "lse was written unasked";
  return testing::AssertionSuccess();
}

}  // namespace flash_mla::test
