#include "spoil.h"

#include <algorithm>

namespace flash_mla::fuzz {
namespace {

__extension__ using int128 = __int128;

int64_t interesting(Bytes& bytes, int64_t now) {
  constexpr int64_t kOne = 1;
  switch (bytes.number(0, 4)) {
    case 0:
      return bytes.number(0, 20);
    case 1:
      return static_cast<int64_t>(static_cast<uint64_t>(now) + static_cast<uint64_t>(bytes.number(-2, 2)));
    case 2:
      return static_cast<int64_t>(static_cast<uint64_t>(now) * static_cast<uint64_t>(bytes.number(-1, 3)));
    case 3:
      return kOne << bytes.number(0, 62);
    default:
      return bytes.pick({int64_t{-1}, INT64_MIN, INT64_MAX, INT64_MAX / 2, int64_t{INT32_MAX}, int64_t{INT32_MIN}});
  }
}

}  // namespace

Verdict judge_view(const ConstTensor& view, int rank, const void* data, size_t bytes) {
  if (view.rank != rank || size_of(view.dtype) == 0) return Verdict::malformed;
  bool empty = false;
  for (int axis = 0; axis < rank; ++axis) {
    if (view.shape[axis] < 0) return Verdict::malformed;
    empty = empty || view.shape[axis] == 0;
  }
  if (empty) return Verdict::legal;
  const auto size = static_cast<int64_t>(size_of(view.dtype));
  if (view.data == nullptr || reinterpret_cast<uintptr_t>(view.data) % size_of(view.dtype) != 0)
    return Verdict::malformed;
  int128 last = 0;  // four products of 63 bits each fit
  for (int axis = 0; axis < rank; ++axis) {
    if (view.shape[axis] > 1 && view.strides[axis] < 0) return Verdict::malformed;
    last += static_cast<int128>(view.shape[axis] - 1) * view.strides[axis];
  }
  if (last * size >= static_cast<int128>(1) << 62) return Verdict::malformed;
  const auto* first = static_cast<const char*>(view.data);
  const auto* begin = static_cast<const char*>(data);
  const int128 before = first - begin;
  return before >= 0 && before + (last + 1) * size <= static_cast<int128>(bytes) ? Verdict::legal : Verdict::unsafe;
}

template <class Tensor>
void spoil_view(Tensor& view, Bytes& bytes) {
  const auto axis = static_cast<size_t>(bytes.number(0, std::clamp(view.rank - 1, 0, kMaxRank - 1)));
  switch (bytes.number(0, 7)) {
    case 0:
      view = {};
      break;
    case 1:
      view.data = nullptr;
      break;
    case 2:
      view.data = reinterpret_cast<decltype(view.data)>(reinterpret_cast<uintptr_t>(view.data) +
                                                        static_cast<uintptr_t>(bytes.number(1, 8)));
      break;
    case 3:
      view.dtype = static_cast<DType>(bytes.number(-1, 6));
      break;
    case 4:
      view.rank = static_cast<int32_t>(bytes.number(-1, 6));
      break;
    case 5:
      view.strides[axis] = interesting(bytes, view.strides[axis]);
      break;
    default:
      view.shape[axis] = interesting(bytes, view.shape[axis]);
      break;
  }
}

template void spoil_view(ConstTensor&, Bytes&);
template void spoil_view(flash_mla::Tensor&, Bytes&);

}  // namespace flash_mla::fuzz
