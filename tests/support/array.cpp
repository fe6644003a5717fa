#include "support/array.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "support/element.h"

namespace flash_mla::test {

Array::Array(DType dtype, std::vector<int64_t> extents, const Layout& layout, Border border) {
  view_.dtype = dtype;
  view_.rank = static_cast<int32_t>(extents.size());
  std::copy(extents.begin(), extents.end(), view_.shape.begin());
  std::vector<int> order = layout.order;
  if (order.empty()) {
    order.resize(extents.size());
    std::iota(order.begin(), order.end(), 0);
  }
  int64_t stride = layout.last_stride;
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    view_.strides[*axis] = stride;
    const int64_t slack = layout.slack.empty() ? 0 : layout.slack[*axis];
    stride *= std::max<int64_t>(extents[*axis], 1) + slack;
  }
  int64_t elements = layout.offset + 1;
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    elements += std::max<int64_t>(extents[axis] - 1, 0) * view_.strides[axis];
  }
  if (std::ranges::find(extents, 0) != extents.end()) elements = layout.offset;
  const size_t element = size_of(dtype);
  memory_ = Memory(static_cast<size_t>(elements - layout.missing) * element, border);
  view_.data = memory_.data() + static_cast<size_t>(layout.offset) * element;
}

int64_t Array::offset(int64_t i0, int64_t i1, int64_t i2, int64_t i3) const {
  return i0 * view_.strides[0] + i1 * view_.strides[1] + i2 * view_.strides[2] + i3 * view_.strides[3];
}

double Array::get(int64_t i0, int64_t i1, int64_t i2, int64_t i3) const {
  return load(view_.dtype, view_.data, offset(i0, i1, i2, i3));
}

void Array::set(double value, int64_t i0, int64_t i1, int64_t i2, int64_t i3) {
  store(view_.dtype, view_.data, offset(i0, i1, i2, i3), value);
}

template <class Visit>
void Array::for_each_element(Visit visit) const {
  std::array<int64_t, kMaxRank> extents{1, 1, 1, 1};
  std::copy_n(view_.shape.begin(), view_.rank, extents.begin());
  for (int64_t i0 = 0; i0 < extents[0]; ++i0) {
    for (int64_t i1 = 0; i1 < extents[1]; ++i1) {
      for (int64_t i2 = 0; i2 < extents[2]; ++i2) {
        for (int64_t i3 = 0; i3 < extents[3]; ++i3) visit(offset(i0, i1, i2, i3));
      }
    }
  }
}

std::vector<double> Array::values() const {
  std::vector<double> all;
  for_each_element([&](int64_t at) { all.push_back(load(view_.dtype, view_.data, at)); });
  return all;
}

std::vector<std::byte> Array::bits() const {
  const auto size = static_cast<int64_t>(size_of(view_.dtype));
  const auto* bytes = static_cast<const std::byte*>(view_.data);
  std::vector<std::byte> all;
  for_each_element([&](int64_t at) { all.insert(all.end(), bytes + at * size, bytes + (at + 1) * size); });
  return all;
}

bool Array::surroundings_intact() const {
  if (!memory_.surroundings_intact()) return false;
  size_t elements = 1;
  for (int axis = 0; axis < view_.rank; ++axis) elements *= static_cast<size_t>(view_.shape[axis]);
  if (elements * size_of(view_.dtype) == memory_.size()) return true;  // nothing lies between them
  std::vector<char> used(memory_.size());
  const auto size = static_cast<int64_t>(size_of(view_.dtype));
  const int64_t start = static_cast<std::byte*>(view_.data) - memory_.data();
  for_each_element([&](int64_t at) { std::memset(used.data() + start + at * size, 1, static_cast<size_t>(size)); });
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i] == 0 && memory_.data()[i] != std::byte{kPoison}) return false;
  }
  return true;
}

bool Array::untouched() const {
  return memory_.surroundings_intact() && std::all_of(memory_.data(), memory_.data() + memory_.size(),
                                                      [](std::byte byte) { return byte == std::byte{kPoison}; });
}

void Array::reset() {
  std::memset(memory_.data(), kPoison, memory_.size());
}

}  // namespace flash_mla::test
