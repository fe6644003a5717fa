// C views as C++ views. Values are passed on as they are; the library checks them.
#pragma once

#include <algorithm>

#include "flash_mla/flash_mla.h"
#include "flash_mla/tensor.h"

namespace flash_mla::c_api {

template <class To, class From>
To convert_view(const From& from) {
  static_assert(FLASH_MLA_MAX_RANK == kMaxRank);
  To to;
  to.data = from.data;
  to.dtype = static_cast<decltype(to.dtype)>(from.dtype);
  to.rank = from.rank;
  std::copy_n(std::data(from.shape), kMaxRank, std::data(to.shape));
  std::copy_n(std::data(from.strides), kMaxRank, std::data(to.strides));
  return to;
}

inline Tensor to_cpp(const flash_mla_tensor& tensor) {
  return convert_view<Tensor>(tensor);
}
inline ConstTensor to_cpp(const flash_mla_const_tensor& tensor) {
  return convert_view<ConstTensor>(tensor);
}
inline flash_mla_const_tensor to_c(const ConstTensor& tensor) {
  return convert_view<flash_mla_const_tensor>(tensor);
}

}  // namespace flash_mla::c_api
