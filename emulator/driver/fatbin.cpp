#include "driver/fatbin.h"

#include <cstdint>
#include <cstring>

namespace emulator::driver {
namespace {

constexpr uint32_t kMagic = 0xba55ed50;
constexpr uint16_t kPtx = 1;
constexpr uint64_t kCompressed = 0x2000 | 0x8000;  // LZ4, zstd

template <class T>
T read(const uint8_t* bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof(T));
  return value;
}

}  // namespace

bool is_fatbin(const void* image) {
  uint32_t magic = 0;
  std::memcpy(&magic, image, sizeof(magic));
  return magic == kMagic;
}

// Header: magic, version (2 bytes), own size (2), size of all entries (8). Entry: kind (2), version (2), own header's
// size (4), payload's size (8), ..., flags at 40.
std::variant<std::string, NoPtx> ptx_of_fatbin(const void* image) {
  const auto* const bytes = static_cast<const uint8_t*>(image);
  const uint64_t start = read<uint16_t>(bytes, 6);
  const uint64_t end = start + read<uint64_t>(bytes, 8);
  constexpr uint64_t kEntryHeader = 48;
  bool compressed = false;
  for (uint64_t at = start; at < end && end - at >= kEntryHeader;) {
    const uint64_t header = read<uint32_t>(bytes, at + 4), size = read<uint64_t>(bytes, at + 8);
    if (header < kEntryHeader || header > end - at || size > end - at - header)
      return NoPtx{"the fat binary is damaged"};
    if (read<uint16_t>(bytes, at) == kPtx) {
      if ((read<uint64_t>(bytes, at + 40) & kCompressed) == 0) {
        const auto* const text = reinterpret_cast<const char*>(bytes + at + header);
        return std::string(text, strnlen(text, size));
      }
      compressed = true;
    }
    at += header + size;
  }
  return NoPtx{compressed ? "the fat binary's PTX is compressed; build it with nvcc --no-compress"
                          : "the fat binary has no PTX; build it with code=[compute_90a,sm_90a]"};
}

}  // namespace emulator::driver
