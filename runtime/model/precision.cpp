#include "model/precision.h"

namespace flash_mla::runtime {

const void* Rounded::round(const float* values, int64_t count, Precision precision) {
  if (precision == Precision::float32) return values;
  if (copy_.size() < static_cast<size_t>(count)) copy_.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) copy_[i] = to_bfloat16(values[i]);
  return copy_.data();
}

}  // namespace flash_mla::runtime
