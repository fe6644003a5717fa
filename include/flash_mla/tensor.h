// Views of caller-owned memory: a pointer with its dtype, shape and strides.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "flash_mla/export.h"

namespace flash_mla {

enum class DType : int32_t { float32 = 0, bfloat16 = 1, float16 = 2, int32 = 3, int64 = 4 };

/// Bytes of one element; 0 for a value outside the enumeration.
FLASH_MLA_API size_t size_of(DType dtype);
/// "bfloat16" and so on; "unknown" for a value outside the enumeration.
FLASH_MLA_API const char* name_of(DType dtype);

inline constexpr int kMaxRank = 4;

/// `data[i0 * strides[0] + i1 * strides[1] + ...]`, strides in elements. A view with null data and rank 0 is "absent".
template <class Pointer>
struct BasicTensor {
  Pointer data = nullptr;
  DType dtype = DType::float32;
  int32_t rank = 0;
  std::array<int64_t, kMaxRank> shape{};
  std::array<int64_t, kMaxRank> strides{};

  BasicTensor() = default;
  /// A dense row-major view.
  BasicTensor(Pointer pointer, DType type, std::initializer_list<int64_t> extents) : data(pointer), dtype(type) {
    for (int64_t extent : extents) {
      if (rank == kMaxRank) break;
      shape[rank++] = extent;
    }
    int64_t stride = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      strides[axis] = stride;
      stride *= shape[axis];
    }
  }
  template <class Other>
  BasicTensor(const BasicTensor<Other>& other)  // NOLINT(google-explicit-constructor)
      : data(other.data), dtype(other.dtype), rank(other.rank), shape(other.shape), strides(other.strides) {}

  [[nodiscard]] bool absent() const { return data == nullptr && rank == 0; }
};

using Tensor = BasicTensor<void*>;             ///< written by the library
using ConstTensor = BasicTensor<const void*>;  ///< read by the library

}  // namespace flash_mla
