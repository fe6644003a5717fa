#include "model/linear.h"

#include "common/parallel.h"

namespace flash_mla::runtime {

void Linear::apply(const float* x, int64_t rows, float* y) const {
  const int64_t inner = weights_.inner(), outer = weights_.outer();
  const void* input = rounded_.round(x, rows * inner, weights_.precision());
  weights_.multiply(input, {rows * inner, inner}, rows, y, {rows * outer, outer}, DType::float32);
  if (bias_.empty()) return;
  parallel_for(rows, outer, [&](int64_t row) {
    for (int64_t i = 0; i < outer; ++i) y[row * outer + i] += bias_[i];
  });
}

}  // namespace flash_mla::runtime
