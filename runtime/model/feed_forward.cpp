#include "model/feed_forward.h"

#include <cmath>
#include <numbers>

namespace flash_mla::runtime {

void GatedFeedForward::apply(const float* x, int64_t rows, float* y) {
  const auto count = static_cast<size_t>(rows * gate_.outer());
  gated_.resize(count);
  lifted_.resize(count);
  gate_.apply(x, rows, gated_.data());
  up_.apply(x, rows, lifted_.data());
  for (size_t i = 0; i < count; ++i) {
    const float value = gated_[i];
    gated_[i] = value / (1 + std::exp(-value)) * lifted_[i];
  }
  down_.apply(gated_.data(), rows, y);
}

void GeluFeedForward::apply(const float* x, int64_t rows, float* y) {
  lifted_.resize(static_cast<size_t>(rows * up_.outer()));
  up_.apply(x, rows, lifted_.data());
  constexpr float kScale = 2 * std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;  // sqrt(2 / pi)
  for (float& value : lifted_) {
    value = 0.5f * value * (1 + std::tanh(kScale * (value + 0.044715f * value * value * value)));
  }
  down_.apply(lifted_.data(), rows, y);
}

}  // namespace flash_mla::runtime
