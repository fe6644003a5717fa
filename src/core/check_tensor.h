// Checks of one array of a call: each names the argument, its value and what is allowed.
#pragma once

#include <initializer_list>
#include <string>

#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla::core {

/// An expected extent; kAny accepts every extent of 0 or more.
inline constexpr int64_t kAny = -1;

struct Expected {
  const char* name;   ///< as the argument is called in the public API
  const char* shape;  ///< as the contract writes it: "[b, s_q, h_q, d]"
  std::initializer_list<int64_t> extents;
};

/// Present, of this rank and these extents, strides of 0 or more with addresses that fit in 63 bits, data aligned to
/// the element.
Status check_array(const ConstTensor& tensor, const Expected& expected);
Status check_dtype(const ConstTensor& tensor, const char* name, DType expected);
/// The last stride must be 1 (an extent of 1 or 0 may carry any).
Status check_last_stride(const ConstTensor& tensor, const char* name);
/// No two elements of an output may share an address.
Status check_no_overlap(const ConstTensor& tensor, const char* name);

/// "[2, 1, 128, 576]"
std::string format_shape(const ConstTensor& tensor);

}  // namespace flash_mla::core
