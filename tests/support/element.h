// Elements of arrays as doubles, with conversions that share nothing with the library's.
#pragma once

#include <cstdint>

#include "flash_mla/tensor.h"

namespace flash_mla::test {

/// Writes `value`, rounded to nearest even, as element `index` of an array of `dtype`.
void store(DType dtype, void* data, int64_t index, double value);
double load(DType dtype, const void* data, int64_t index);

}  // namespace flash_mla::test
