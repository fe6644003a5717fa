#include "model/norm.h"

#include <cmath>

#include "common/parallel.h"

namespace flash_mla::runtime {

void Norm::apply(const float* x, int64_t x_stride, int64_t rows, float* y, int64_t y_stride) const {
  const auto width = static_cast<int64_t>(weight.size());
  parallel_for(rows, width, [&](int64_t row) {
    const float* from = x + row * x_stride;
    float* to = y + row * y_stride;
    double mean = 0, squares = 0;
    if (!bias.empty()) {
      for (int64_t i = 0; i < width; ++i) mean += from[i];
      mean /= static_cast<double>(width);
    }
    for (int64_t i = 0; i < width; ++i) squares += (from[i] - mean) * (from[i] - mean);
    const auto scale = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(width) + epsilon));
    const auto centre = static_cast<float>(mean);
    for (int64_t i = 0; i < width; ++i) {
      const float value = (from[i] - centre) * scale * weight[i];
      to[i] = bias.empty() ? value : value + bias[i];
    }
  });
}

}  // namespace flash_mla::runtime
