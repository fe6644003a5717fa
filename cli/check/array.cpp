#include "check/array.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

namespace flash_mla::cli {
namespace {

constexpr size_t kGuard = 256;                      // bytes before and after
constexpr int64_t kSlack[kMaxRank] = {1, 3, 2, 5};  // elements after each axis, where padded

/// Strides from the innermost axis of `order` outwards.
void set_strides(Tensor& view, const std::vector<int>& order, bool padded, bool free_last) {
  int64_t stride = free_last ? 2 : 1;
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    view.strides[*axis] = stride;
    stride = stride * std::max<int64_t>(view.shape[*axis], 1) + (padded ? kSlack[*axis] : 0);
  }
}

bool all_poison(const std::byte* from, size_t count) {
  return std::all_of(from, from + count, [](std::byte byte) { return byte == std::byte{kPoison}; });
}

}  // namespace

void Array::make(DType dtype, std::initializer_list<int64_t> extents, Layout layout, const Axes& axes) {
  view_ = Tensor(nullptr, dtype, extents);
  dense_ = layout == Layout::dense;
  std::vector<int> order(static_cast<size_t>(view_.rank));
  std::iota(order.begin(), order.end(), 0);
  if (layout == Layout::transposed && axes.first >= 0) std::swap(order[axes.first], order[axes.second]);
  const bool innermost_free = axes.free_last && layout == Layout::padded;
  if (!dense_) set_strides(view_, order, layout == Layout::padded, innermost_free);

  int64_t last = 0;
  bool empty = false;
  for (int axis = 0; axis < view_.rank; ++axis) {
    empty = empty || view_.shape[axis] == 0;
    last += (view_.shape[axis] - 1) * view_.strides[axis];
  }
  const size_t element = size_of(dtype);
  const size_t start = kGuard + (layout == Layout::padded ? element : 0);
  bytes_ = start + (empty ? 0 : static_cast<size_t>(last + 1) * element) + kGuard;
  memory_ = buffer_.resize(bytes_);
  view_.data = memory_ + start;
#pragma omp parallel for
  for (size_t chunk = 0; chunk < bytes_; chunk += 1 << 20) {
    std::memset(memory_ + chunk, kPoison, std::min<size_t>(1 << 20, bytes_ - chunk));
  }
}

std::byte* Array::at(int64_t i0, int64_t i1, int64_t i2, int64_t i3) const {
  const auto& strides = view_.strides;
  const int64_t offset = i0 * strides[0] + i1 * strides[1] + i2 * strides[2] + i3 * strides[3];
  return static_cast<std::byte*>(view_.data) + offset * static_cast<int64_t>(size_of(view_.dtype));
}

bool Array::surroundings_intact() const {
  const size_t start = static_cast<size_t>(static_cast<std::byte*>(view_.data) - memory_);
  if (!all_poison(memory_, start) || !all_poison(memory_ + bytes_ - kGuard, kGuard)) return false;
  if (dense_) return true;
  std::vector<bool> used(bytes_);
  std::array<int64_t, kMaxRank> extents{1, 1, 1, 1};
  std::copy_n(view_.shape.begin(), view_.rank, extents.begin());
  for (int64_t i0 = 0; i0 < extents[0]; ++i0) {
    for (int64_t i1 = 0; i1 < extents[1]; ++i1) {
      for (int64_t i2 = 0; i2 < extents[2]; ++i2) {
        for (int64_t i3 = 0; i3 < extents[3]; ++i3) {
          const auto first = used.begin() + (at(i0, i1, i2, i3) - memory_);
          std::fill(first, first + static_cast<int64_t>(size_of(view_.dtype)), true);
        }
      }
    }
  }
  for (size_t i = 0; i < bytes_; ++i) {
    if (!used[i] && memory_[i] != std::byte{kPoison}) return false;
  }
  return true;
}

}  // namespace flash_mla::cli
