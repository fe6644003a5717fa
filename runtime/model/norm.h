// Normalisation of rows, in float32.
#pragma once

#include <cstdint>
#include <vector>

namespace flash_mla::runtime {

/// RMSNorm (Zhang & Sennrich, 2019); with a bias LayerNorm (Ba et al., 2016).
struct Norm {
  std::vector<float> weight;
  std::vector<float> bias;  ///< empty: RMSNorm
  double epsilon = 1e-6;

  /// `rows` rows of weight.size() numbers; row r begins at x + r * x_stride and y + r * y_stride. x and y may be one.
  void apply(const float* x, int64_t x_stride, int64_t rows, float* y, int64_t y_stride) const;
};

}  // namespace flash_mla::runtime
