#include "check/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace flash_mla::cli {
namespace {

Errors miss(std::string what) {
  Errors errors;
  errors.ratio_to_bar = std::numeric_limits<double>::infinity();
  errors.missed_rows = 1;
  errors.first_miss = std::move(what);
  return errors;
}

bool same_anomaly(double actual, double expected) {
  if (std::isnan(expected)) return std::isnan(actual);
  return actual == expected;
}

/// Where a value is not finite, on either side, both have to be the same.
bool anomalies_match(const float* out, const double* expected, int64_t d_v, int64_t& column) {
  for (column = 0; column < d_v; ++column) {
    const bool finite = std::isfinite(out[column]) && std::isfinite(expected[column]);
    if (!finite && !same_anomaly(out[column], expected[column])) return false;
  }
  return true;
}

double ratio_of_element(double actual, double expected) {
  const double error = std::fabs(actual - expected);
  return std::min(error / kOutAbsolute, error / (std::fabs(expected) + 1e-6) / kOutRelative);
}

}  // namespace

void Errors::merge(const Errors& other) {
  out_abs = std::max(out_abs, other.out_abs);
  out_cos = std::max(out_cos, other.out_cos);
  lse_abs = std::max(lse_abs, other.lse_abs);
  ratio_to_bar = std::max(ratio_to_bar, other.ratio_to_bar);
  if (missed_rows == 0) first_miss = other.first_miss;
  missed_rows += other.missed_rows;
}

Errors compare_row(const float* out, const double* expected, int64_t d_v, double expected_lse) {
  Errors errors;
  double ratio = 0;
  double xy = 0;
  double xx = 0;
  double yy = 0;
  double all = 0;  // NaN if anything is not finite
  for (int64_t i = 0; i < d_v; ++i) {
    const double x = out[i];
    const double y = expected[i];
    errors.out_abs = std::max(errors.out_abs, std::fabs(x - y));
    ratio = std::max(ratio, ratio_of_element(x, y));
    xy += x * y;
    xx += x * x;
    yy += y * y;
    all += (x - x) + (y - y);
  }
  if (all != 0) {
    int64_t column = 0;
    if (!anomalies_match(out, expected, d_v, column)) {
      return miss(fmt::format("column {} is {}, expected {}", column, out[column], expected[column]));
    }
    return {};
  }
  if (std::isinf(expected_lse) && expected_lse < 0 && xx != 0) {
    return miss(fmt::format("a row without keys holds up to {}, expected 0", errors.out_abs));
  }
  errors.out_cos = yy < 1e-12 ? 0 : 1 - 2 * xy / (xx + yy);
  errors.ratio_to_bar = std::max(ratio, errors.out_cos / kOutCosine);
  if (errors.ratio_to_bar <= 1) return errors;

  errors.missed_rows = 1;
  if (ratio <= 1) {
    errors.first_miss = fmt::format("cosine distance {:.2e}, allowed {:.0e}", errors.out_cos, kOutCosine);
    return errors;
  }
  int64_t column = 0;
  while (ratio_of_element(out[column], expected[column]) < ratio) ++column;
  errors.first_miss = fmt::format("column {} is {:.7g}, expected {:.7g}; cosine distance {:.2e}", column, out[column],
                                  expected[column], errors.out_cos);
  return errors;
}

Errors compare_lse(float lse, double expected, bool on_cuda) {
  if (!std::isfinite(lse) || !std::isfinite(expected)) {
    if (same_anomaly(lse, expected)) return {};
    return miss(fmt::format("lse is {}, expected {}", lse, expected));
  }
  Errors errors;
  errors.lse_abs = std::fabs(lse - expected);
  const double either =
      std::min(errors.lse_abs / kLseAbsolute, errors.lse_abs / (std::fabs(expected) + 1e-6) / kLseRelative);
  errors.ratio_to_bar = on_cuda ? either : std::max(either, errors.lse_abs / kLseAbsoluteCpu);
  if (errors.ratio_to_bar > 1) {
    errors.missed_rows = 1;
    errors.first_miss = fmt::format("lse is {:.9g}, expected {:.9g}", lse, expected);
  }
  return errors;
}

}  // namespace flash_mla::cli
