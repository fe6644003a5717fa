#include "core/check_tensor.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/error.h"

namespace flash_mla::core {

namespace {

std::string format_list(std::span<const int64_t> values) {
  std::string list;
  for (int64_t value : values) list += (list.empty() ? "" : ", ") + std::to_string(value);
  return "[" + list + "]";
}

std::span<const int64_t> extents_of(const ConstTensor& tensor) {
  return {tensor.shape.data(), static_cast<size_t>(tensor.rank)};
}

bool is_empty(const ConstTensor& tensor) {
  return std::ranges::any_of(extents_of(tensor), [](int64_t extent) { return extent == 0; });
}

/// Whether the byte offset of the last element fits in 62 bits.
bool offsets_fit(const ConstTensor& tensor) {
  const int64_t limit = (int64_t{1} << 62) / static_cast<int64_t>(size_of(tensor.dtype));
  int64_t last = 0;
  for (int axis = 0; axis < tensor.rank; ++axis) {
    int64_t reach = 0;
    if (__builtin_mul_overflow(tensor.shape[axis] - 1, tensor.strides[axis], &reach)) return false;
    if (__builtin_add_overflow(last, reach, &last) || last >= limit) return false;
  }
  return true;
}

}  // namespace

std::string format_shape(const ConstTensor& tensor) {
  if (tensor.rank < 0 || tensor.rank > kMaxRank) return format("rank {}", tensor.rank);
  return format_list(extents_of(tensor));
}

Status check_array(const ConstTensor& tensor, const Expected& expected) {
  const int rank = static_cast<int>(expected.extents.size());
  if (tensor.absent()) return invalid("{} is absent; expected {}", expected.name, expected.shape);
  if (tensor.rank != rank) {
    return invalid("{} has rank {}; expected {} with rank {}", expected.name, tensor.rank, expected.shape, rank);
  }
  if (size_of(tensor.dtype) == 0) {
    return invalid("{} has dtype {}, which is none of the library's", expected.name, static_cast<int>(tensor.dtype));
  }
  const bool shape_fits =
      std::equal(expected.extents.begin(), expected.extents.end(), tensor.shape.begin(),
                 [](int64_t want, int64_t have) { return have >= 0 && (want == kAny || want == have); });
  if (!shape_fits) {
    std::string wanted;
    for (int64_t extent : expected.extents) {
      wanted += (wanted.empty() ? "" : ", ") + (extent == kAny ? "any" : std::to_string(extent));
    }
    return invalid("{} has shape {}; expected {} = [{}]", expected.name, format_shape(tensor), expected.shape, wanted);
  }
  if (is_empty(tensor)) return {};
  if (tensor.data == nullptr) return invalid("{} has null data; expected {}", expected.name, expected.shape);
  for (int axis = 0; axis < rank; ++axis) {
    if (tensor.shape[axis] > 1 && tensor.strides[axis] < 0) {
      return invalid("{} has stride {} on axis {}; expected 0 or more", expected.name, tensor.strides[axis], axis);
    }
  }
  if (!offsets_fit(tensor)) {
    return invalid("{} has strides {}; its last element lies beyond 2^62 bytes", expected.name,
                   format_list({tensor.strides.data(), static_cast<size_t>(rank)}));
  }
  if (reinterpret_cast<uintptr_t>(tensor.data) % size_of(tensor.dtype) != 0) {
    return invalid("{} is at address {}; expected a multiple of {} bytes for {}", expected.name, tensor.data,
                   size_of(tensor.dtype), name_of(tensor.dtype));
  }
  return {};
}

Status check_dtype(const ConstTensor& tensor, const char* name, DType expected) {
  if (tensor.dtype == expected) return {};
  return invalid("{} has dtype {}; expected {}", name, name_of(tensor.dtype), name_of(expected));
}

Status check_last_stride(const ConstTensor& tensor, const char* name) {
  const int last = tensor.rank - 1;
  if (tensor.shape[last] <= 1 || tensor.strides[last] == 1) return {};
  return invalid("{} has last stride {}; expected 1", name, tensor.strides[last]);
}

Status check_no_overlap(const ConstTensor& tensor, const char* name) {
  if (is_empty(tensor)) return {};
  for (int axis = 0; axis < tensor.rank; ++axis) {
    if (tensor.shape[axis] == 1) continue;
    int64_t reach = 0;  // offset of the last element over the axes that lie within this one
    for (int inner = 0; inner < tensor.rank; ++inner) {
      const bool within = std::pair(tensor.strides[inner], inner) < std::pair(tensor.strides[axis], axis);
      if (within) reach += (tensor.shape[inner] - 1) * tensor.strides[inner];
    }
    if (tensor.strides[axis] <= reach) {
      return invalid("{} has stride {} on axis {}; its elements overlap, expected {} or more", name,
                     tensor.strides[axis], axis, reach + 1);
    }
  }
  return {};
}

}  // namespace flash_mla::core
