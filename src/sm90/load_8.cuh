// Loads that do not ask for 16-byte alignment.
#pragma once

#include <stdint.h>

namespace flash_mla::sm90 {

__device__ __forceinline__ uint4 load_aligned_8(const uint16_t* from) {
  return *reinterpret_cast<const uint4*>(from);
}
/// 8 elements at any address that is aligned to one.
__device__ __forceinline__ uint4 load_8(const uint16_t* from) {
  if (reinterpret_cast<uint64_t>(from) % 16 == 0) return load_aligned_8(from);
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) words[i] = from[2 * i] | static_cast<uint32_t>(from[2 * i + 1]) << 16;
  return {words[0], words[1], words[2], words[3]};
}

}  // namespace flash_mla::sm90
