#include "model/precision.h"

#include "common/parallel.h"

namespace flash_mla::runtime {

const void* Rounded::round(const float* values, int64_t count, Precision precision) {
  if (precision == Precision::float32) return values;
  if (copy_.size() < static_cast<size_t>(count)) copy_.resize(static_cast<size_t>(count));
  parallel_pieces(count, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) copy_[i] = to_bfloat16(values[i]);
  });
  return copy_.data();
}

}  // namespace flash_mla::runtime
