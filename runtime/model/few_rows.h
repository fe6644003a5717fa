// Products of a few rows with bfloat16 weights: bound by reading the weights, which oneDNN does at about three quarters
// of the speed of a plain loop.
#pragma once

#include <cstdint>

namespace flash_mla::runtime {

/// out[b, r, :] = x[b, r, :] w[b], for b < batch and r < rows. Offsets and strides in elements.
struct FewRowsProduct {
  int64_t batch, rows, inner, outer;
  /// [batch, outer / 64, inner / 32, 16, 64, 2] bfloat16, both divisions upwards, what is beyond outer and inner 0:
  /// oneDNN's BA16a64b2a.
  const uint16_t* weights;
  const uint16_t* x;
  int64_t x_batch_stride, x_row_stride;
  void* out;  ///< float32, or bfloat16
  int64_t out_batch_stride, out_row_stride;
  bool out_is_bfloat16;
};

inline constexpr int64_t kFewRowsColumns = 64;  ///< of a block
inline constexpr int64_t kFewRowsDepth = 32;

/// Up to how many rows this is faster than oneDNN here; 0 where it cannot run.
int64_t most_few_rows();
void multiply_few_rows(const FewRowsProduct& product);

}  // namespace flash_mla::runtime
