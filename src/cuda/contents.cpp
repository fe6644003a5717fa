#include "cuda/contents.h"

#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "flash_mla/cuda.h"

namespace flash_mla::cuda {

namespace {

Status bring_array(ConstTensor& array, std::vector<std::byte>& copy, void* stream) {
  if (array.absent()) return {};
  int64_t last = 0;
  for (int axis = 0; axis < array.rank; ++axis) {
    if (array.shape[axis] == 0) return {};
    last += (array.shape[axis] - 1) * array.strides[axis];
  }
  copy.resize(static_cast<size_t>(last + 1) * size_of(array.dtype));
  FLASH_MLA_RETURN_IF_ERROR(cuda_read(copy.data(), array.data, copy.size(), stream));
  array.data = copy.data();
  return {};
}

}  // namespace

bool checking_is_asked_for() {
  const char* const asked = std::getenv("FLASH_MLA_CUDA_CHECKS");
  return asked != nullptr && *asked != '\0' && std::string_view(asked) != "0";
}

Status Contents::bring(core::Problem& problem, void* stream) {
  FLASH_MLA_RETURN_IF_ERROR(bring_array(problem.seqlens, seqlens_, stream));
  FLASH_MLA_RETURN_IF_ERROR(bring_array(problem.cu_seqlens_q, cu_seqlens_q_, stream));
  return bring_array(problem.page_table, page_table_, stream);
}

}  // namespace flash_mla::cuda
