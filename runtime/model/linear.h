// A linear layer: y = x W^T + bias.
#pragma once

#include <vector>

#include "model/products.h"

namespace flash_mla::runtime {

class Linear {
 public:
  Linear() = default;
  /// `bias` is empty or [outer].
  Linear(PackedMatrix weights, std::vector<float> bias) : weights_(std::move(weights)), bias_(std::move(bias)) {}

  /// x [rows, inner], y [rows, outer], dense.
  void apply(const float* x, int64_t rows, float* y) const;
  [[nodiscard]] int64_t outer() const { return weights_.outer(); }
  [[nodiscard]] int64_t bytes() const { return weights_.bytes(); }

 private:
  PackedMatrix weights_;
  std::vector<float> bias_;
  mutable Rounded rounded_;
};

}  // namespace flash_mla::runtime
