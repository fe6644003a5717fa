// Elements of a decode call's outputs, in place.
#pragma once

#include <cmath>

#include "flash_mla/tensor.h"
#include "support/element.h"

namespace flash_mla::planted {

/// Calls visit(row, offset of its first element) for the rows of a tensor whose last axis is a row.
template <class Visit>
void for_each_row(const Tensor& tensor, Visit visit) {
  int64_t extents[3] = {1, 1, 1}, strides[3] = {0, 0, 0};
  for (int axis = 0; axis + 1 < tensor.rank; ++axis)
    extents[axis] = tensor.shape[axis], strides[axis] = tensor.strides[axis];
  int64_t row = 0;
  for (int64_t i = 0; i < extents[0]; ++i) {
    for (int64_t j = 0; j < extents[1]; ++j) {
      for (int64_t k = 0; k < extents[2]; ++k) visit(row++, i * strides[0] + j * strides[1] + k * strides[2]);
    }
  }
}

/// Replaces every element x by change(x).
template <class Change>
void change_elements(const Tensor& tensor, Change change) {
  for_each_row(tensor, [&](int64_t, int64_t offset) {
    const int last = tensor.rank - 1;
    for (int64_t i = 0; i < tensor.shape[last]; ++i) {
      const int64_t at = offset + i * tensor.strides[last];
      test::store(tensor.dtype, tensor.data, at, change(test::load(tensor.dtype, tensor.data, at)));
    }
  });
}

inline bool any_nan(const Tensor& tensor) {
  bool found = false;
  change_elements(tensor, [&](double x) {
    found = found || std::isnan(x);
    return x;
  });
  return found;
}

/// The least change of a tensor's first element.
inline void flip_bit(const Tensor& tensor) {
  auto* byte = static_cast<unsigned char*>(tensor.data);
  *byte = static_cast<unsigned char>(*byte ^ 1u);
}

inline int64_t num_elements(const ConstTensor& tensor) {
  int64_t elements = 1;
  for (int axis = 0; axis < tensor.rank; ++axis) elements *= tensor.shape[axis];
  return elements;
}

/// Behind the last element.
inline char* end_of(const ConstTensor& tensor) {
  int64_t last = 1;
  for (int axis = 0; axis < tensor.rank; ++axis) last += (tensor.shape[axis] - 1) * tensor.strides[axis];
  return static_cast<char*>(const_cast<void*>(tensor.data)) + last * static_cast<int64_t>(size_of(tensor.dtype));
}

template <class View>
void make_dense(View& tensor) {
  int64_t stride = 1;
  for (int axis = tensor.rank - 1; axis >= 0; --axis) {
    tensor.strides[axis] = stride;
    stride *= tensor.shape[axis];
  }
}

/// As if offsets were 32-bit numbers.
template <class View>
void cut_strides(View& tensor) {
  for (int64_t& stride : tensor.strides) stride = static_cast<int32_t>(static_cast<uint32_t>(stride) & 0x7fffffffu);
}

}  // namespace flash_mla::planted
