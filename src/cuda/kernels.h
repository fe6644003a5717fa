// The compiled kernels that this library carries.
#pragma once

#include <cstddef>

namespace flash_mla::cuda {

/// A fat binary with code for sm_90a; null where the build had no nvcc.
extern const void* const kSm90Image;

}  // namespace flash_mla::cuda
