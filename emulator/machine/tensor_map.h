// The 128 bytes that describe a tensor in global memory to the copy engine. Their layout is the driver's secret on the
// real machine and this emulator's own here: kernels pass them on unread.
#pragma once

#include <cstdint>
#include <string>

namespace emulator::machine {

enum class Swizzle : uint8_t { none, bytes32, bytes64, bytes128 };

/// XORs the 16-byte chunk's number with the row's, in spans of 32, 64 or 128 bytes (PTX ISA 9.0, section 5.5.7).
inline uint32_t swizzled(uint32_t address, Swizzle swizzle) {
  constexpr uint32_t kMasks[] = {0, 0x10, 0x30, 0x70};
  return address ^ (address >> 3 & kMasks[static_cast<uint32_t>(swizzle)]);
}

struct TensorMap {
  static constexpr uint64_t kMagic = 0x70616d5f726f736eull;
  uint64_t magic = kMagic;
  uint64_t unused = 0;  // CuTe clears a bit of this word for tensors below 128 KiB
  uint64_t address = 0;
  uint64_t strides[4] = {};  // bytes, of dimensions 1 to 4
  uint64_t extents[5] = {};  // elements
  uint16_t box[5] = {};      // elements
  uint8_t steps[5] = {};     // elements
  uint8_t rank = 0;
  uint8_t element_bytes = 0;
  uint8_t type = 0;  // CUtensorMapDataType
  Swizzle swizzle = Swizzle::none;
  uint8_t nan_fill = 0;

  [[nodiscard]] uint32_t box_bytes() const;
  /// What the copy engine could not work with, or empty.
  [[nodiscard]] std::string what_is_wrong() const;
};
static_assert(sizeof(TensorMap) <= 128);

}  // namespace emulator::machine
