#include "c_api/tensor.h"

namespace flash_mla::c_api {

namespace {

constexpr bool same(int c, DType cpp) {
  return c == static_cast<int>(cpp);
}
static_assert(same(FLASH_MLA_FLOAT32, DType::float32));
static_assert(same(FLASH_MLA_BFLOAT16, DType::bfloat16));
static_assert(same(FLASH_MLA_FLOAT16, DType::float16));
static_assert(same(FLASH_MLA_INT32, DType::int32));
static_assert(same(FLASH_MLA_INT64, DType::int64));

template <class View, class Pointer>
View dense(Pointer data, int32_t dtype, int32_t rank, const int64_t* shape) {
  View view{};
  view.data = data;
  view.dtype = dtype;
  view.rank = rank;
  if (rank < 1 || rank > FLASH_MLA_MAX_RANK || shape == nullptr) {
    view.rank = -1;
    return view;
  }
  int64_t stride = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    view.shape[axis] = shape[axis];
    view.strides[axis] = stride;
    // Unsigned, because an absurd extent must reach the checks instead of overflowing here.
    stride = static_cast<int64_t>(static_cast<uint64_t>(stride) * static_cast<uint64_t>(shape[axis]));
  }
  return view;
}

}  // namespace

}  // namespace flash_mla::c_api

flash_mla_tensor flash_mla_dense(void* data, int32_t dtype, int32_t rank, const int64_t* shape) {
  return flash_mla::c_api::dense<flash_mla_tensor>(data, dtype, rank, shape);
}

flash_mla_const_tensor flash_mla_const_dense(const void* data, int32_t dtype, int32_t rank, const int64_t* shape) {
  return flash_mla::c_api::dense<flash_mla_const_tensor>(data, dtype, rank, shape);
}
