#include "model/feed_forward.h"

#include <cmath>
#include <numbers>

#include "common/parallel.h"

namespace flash_mla::runtime {

void GatedFeedForward::apply(const float* x, int64_t rows, float* y) {
  const auto count = static_cast<size_t>(rows * gate_.outer());
  gated_.resize(count);
  lifted_.resize(count);
  gate_.apply(x, rows, gated_.data());
  up_.apply(x, rows, lifted_.data());
  parallel_pieces(static_cast<int64_t>(count), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const float value = gated_[i];
      gated_[i] = value / (1 + std::exp(-value)) * lifted_[i];
    }
  });
  down_.apply(gated_.data(), rows, y);
}

void GeluFeedForward::apply(const float* x, int64_t rows, float* y) {
  lifted_.resize(static_cast<size_t>(rows * up_.outer()));
  up_.apply(x, rows, lifted_.data());
  constexpr float kScale = 2 * std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;  // sqrt(2 / pi)
  parallel_pieces(static_cast<int64_t>(lifted_.size()), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const float value = lifted_[i];
      lifted_[i] = 0.5f * value * (1 + std::tanh(kScale * (value + 0.044715f * value * value * value)));
    }
  });
  down_.apply(lifted_.data(), rows, y);
}

}  // namespace flash_mla::runtime
