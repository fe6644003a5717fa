// In what the model computes.
#pragma once

#include <cstdint>
#include <vector>

#include "common/number.h"
#include "flash_mla/tensor.h"

namespace flash_mla::runtime {

/// Weights, matrix products' inputs and the KV cache have this type; everything else, sums included, is float32.
enum class Precision { float32, bfloat16 };

inline DType dtype_of(Precision precision) {
  return precision == Precision::float32 ? DType::float32 : DType::bfloat16;
}
inline int64_t bytes_of(Precision precision) {
  return precision == Precision::float32 ? 4 : 2;
}

/// Values in a model's precision: a view of float32 values as they are, or a rounded copy.
class Rounded {
 public:
  /// `values` must outlive the use of the returned pointer.
  const void* round(const float* values, int64_t count, Precision precision);

 private:
  std::vector<uint16_t> copy_;
};

}  // namespace flash_mla::runtime
