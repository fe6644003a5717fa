// Loads and stores single elements of the floating-point dtypes.
#pragma once

#include "core/number.h"
#include "flash_mla/tensor.h"

namespace flash_mla::core {

inline bool is_floating(DType dtype) {
  return dtype == DType::float32 || dtype == DType::bfloat16 || dtype == DType::float16;
}

inline float load_element(const void* data, DType dtype, int64_t offset) {
  if (dtype == DType::bfloat16) return bfloat16_to_float(static_cast<const uint16_t*>(data)[offset]);
  if (dtype == DType::float16) return float16_to_float(static_cast<const uint16_t*>(data)[offset]);
  return static_cast<const float*>(data)[offset];
}

inline void store_element(void* data, DType dtype, int64_t offset, float value) {
  if (dtype == DType::bfloat16) {
    static_cast<uint16_t*>(data)[offset] = float_to_bfloat16(value);
  } else if (dtype == DType::float16) {
    static_cast<uint16_t*>(data)[offset] = float_to_float16(value);
  } else {
    static_cast<float*>(data)[offset] = value;
  }
}

}  // namespace flash_mla::core
