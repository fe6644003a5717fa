#include "driver/fatbin.h"

#include <lz4.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>

#include "support/format.h"

namespace emulator::driver {
namespace {

constexpr uint32_t kMagic = 0xba55ed50;
constexpr uint16_t kPtx = 1;
constexpr uint64_t kLz4 = 0x2000, kZstd = 0x8000;
constexpr uint64_t kLargest = 1 << 30;  // text

template <class T>
T read(const uint8_t* bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof(T));
  return value;
}

/// The text of a compressed payload. An entry's header: the payload's real size at 16 (4 bytes), the text's at 56 (8).
std::variant<std::string, NoPtx> decompressed(const uint8_t* entry, uint64_t header, uint64_t payload, bool zstd) {
  constexpr uint64_t kLongHeader = 64;
  const uint64_t size = read<uint32_t>(entry, 16);
  const uint64_t text_size = header >= kLongHeader ? read<uint64_t>(entry, 56) : 0;
  if (size > payload || text_size == 0 || text_size > kLargest) return NoPtx{"the fat binary is damaged"};
  const auto* const from = reinterpret_cast<const char*>(entry + header);
  std::string text(text_size, '\0');
  bool good = false;
  if (zstd) {
    good = ZSTD_decompress(text.data(), text_size, from, size) == text_size;
  } else {
    const int got = LZ4_decompress_safe(from, text.data(), static_cast<int>(size), static_cast<int>(text_size));
    good = got >= 0 && static_cast<uint64_t>(got) == text_size;
  }
  if (!good) return NoPtx{format("the fat binary's {} data are damaged", zstd ? "zstd" : "LZ4")};
  text.resize(strnlen(text.data(), text_size));
  return text;
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
  for (uint64_t at = start; at < end && end - at >= kEntryHeader;) {
    const uint64_t header = read<uint32_t>(bytes, at + 4), size = read<uint64_t>(bytes, at + 8);
    if (header < kEntryHeader || header > end - at || size > end - at - header)
      return NoPtx{"the fat binary is damaged"};
    if (read<uint16_t>(bytes, at) == kPtx) {
      const auto flags = read<uint64_t>(bytes, at + 40);
      if ((flags & (kLz4 | kZstd)) != 0) return decompressed(bytes + at, header, size, (flags & kZstd) != 0);
      const auto* const text = reinterpret_cast<const char*>(bytes + at + header);
      return std::string(text, strnlen(text, size));
    }
    at += header + size;
  }
  return NoPtx{"the fat binary has no PTX; build it with code=[compute_90a,sm_90a]"};
}

}  // namespace emulator::driver
