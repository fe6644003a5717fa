// Judges outputs by the contract's bars (docs/contract.md, "Accuracy").
#pragma once

#include <cstdint>
#include <string>

#include "flash_mla/decode.h"
#include "flash_mla/tensor.h"

namespace flash_mla::cli {

/// An element of out passes with either; lse has to pass one of its first two, and on the processor the third.
inline constexpr double kOutAbsolute = 8e-4;
inline constexpr double kOutRelative = 2.01 / 128;
inline constexpr double kOutCosine = 5e-6;  ///< of each row
inline constexpr double kLseAbsolute = 1e-6;
inline constexpr double kLseRelative = 8.01 / 65536;
inline constexpr double kLseAbsoluteCpu = 2e-5;

/// The worst of some rows, and the first miss.
struct Errors {
  double out_abs = 0;
  double out_cos = 0;  ///< 1 - 2 x.y / (x.x + y.y)
  double lse_abs = 0;
  double ratio_to_bar = 0;  ///< above 1 is a miss
  int64_t missed_rows = 0;
  std::string first_miss;  ///< which element, what it is and what was expected

  void merge(const Errors& other);
};

/// A row of d_v elements. `expected_lse` -inf says that the row sees no key: out has to be exactly 0 then. NaN and
/// infinities have to be where the reference has them, and nowhere else.
Errors compare_row(const float* out, const double* expected, int64_t d_v, double expected_lse);
Errors compare_lse(float lse, double expected, bool on_cuda = false);

}  // namespace flash_mla::cli
