// Arrays of a case, dense or spread out, inside memory whose other bytes are all ones.
#pragma once

#include <initializer_list>

#include "check/buffer.h"
#include "check/case.h"
#include "flash_mla/tensor.h"

namespace flash_mla::cli {

/// Bytes of all ones are NaN in every floating type, and -1 in integers: what unused memory holds, and what an output
/// holds until it is written.
inline constexpr int kPoison = 0xff;

/// Where an array's heads and tokens are, for Layout::transposed; and whether its last stride may differ from 1.
struct Axes {
  int first = -1;  ///< the two axes to exchange; -1: none
  int second = -1;
  bool free_last = false;
};

class Array {
 public:
  /// Takes new memory, all of it poisoned, and lays the array out in it.
  void make(DType dtype, std::initializer_list<int64_t> extents, Layout layout, const Axes& axes);
  [[nodiscard]] const Tensor& view() const { return view_; }
  /// Address of an element; unused indices are 0.
  [[nodiscard]] std::byte* at(int64_t i0, int64_t i1 = 0, int64_t i2 = 0, int64_t i3 = 0) const;
  /// Whether every byte outside the array's elements is as make() left it.
  [[nodiscard]] bool surroundings_intact() const;

 private:
  Buffer buffer_;
  std::byte* memory_ = nullptr;
  size_t bytes_ = 0;
  bool dense_ = true;
  Tensor view_;
};

}  // namespace flash_mla::cli
