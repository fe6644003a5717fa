// An array with its memory: any strides, and everything that is not an element poisoned.
#pragma once

#include <array>
#include <vector>

#include "flash_mla/tensor.h"
#include "support/memory.h"

namespace flash_mla::test {

/// How an array lies in memory. Strides are counted in elements.
struct Layout {
  std::vector<int> order;      ///< axes from the outermost to the innermost; empty: as they come
  std::vector<int64_t> slack;  ///< elements left free behind each axis; empty: none
  int64_t last_stride = 1;     ///< of the innermost axis
  int64_t offset = 0;          ///< elements left free before the first
  int64_t missing = 0;         ///< elements at the end that the view claims and memory lacks
};

class Array {
 public:
  Array() = default;
  Array(DType dtype, std::vector<int64_t> extents, const Layout& layout = {}, Border border = Border::poison);

  [[nodiscard]] const Tensor& view() const { return view_; }
  [[nodiscard]] double get(int64_t i0, int64_t i1 = 0, int64_t i2 = 0, int64_t i3 = 0) const;
  void set(double value, int64_t i0, int64_t i1 = 0, int64_t i2 = 0, int64_t i3 = 0);

  /// All elements, row-major.
  [[nodiscard]] std::vector<double> values() const;
  /// The bytes of all elements, row-major: equal if and only if the arrays are, bit by bit.
  [[nodiscard]] std::vector<std::byte> bits() const;
  /// Whether every accessible byte that belongs to no element is as it was made.
  [[nodiscard]] bool surroundings_intact() const;
  /// Whether all of them are, elements too.
  [[nodiscard]] bool untouched() const;
  /// Poisons everything again.
  void reset();
  [[nodiscard]] const Memory& memory() const { return memory_; }

 private:
  [[nodiscard]] int64_t offset(int64_t i0, int64_t i1, int64_t i2, int64_t i3) const;
  template <class Visit>
  void for_each_element(Visit visit) const;

  Memory memory_{0, Border::heap};
  Tensor view_;
};

}  // namespace flash_mla::test
