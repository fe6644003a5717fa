// CRC-32C (Castagnoli's polynomial, as iSCSI, ext4 and Mooncake use it), eight bytes at a time ("slicing by 8":
// Kounavis and Berry, 2005).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace flash_mla::kv_cache {

using Crc32cTables = std::array<std::array<uint32_t, 256>, 8>;
constexpr Crc32cTables make_crc32c_tables() {
  Crc32cTables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? 0x82f63b78u ^ (crc >> 1) : crc >> 1;
    tables[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (size_t i = 1; i < 8; ++i) {
      tables[i][byte] = tables[0][tables[i - 1][byte] & 0xff] ^ (tables[i - 1][byte] >> 8);
    }
  }
  return tables;
}

inline constexpr Crc32cTables kCrc32cTables = make_crc32c_tables();

class Crc32c {
 public:
  void add(std::span<const std::byte> bytes) {
    const std::byte* at = bytes.data();
    size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) {
      std::array<uint8_t, 8> next{};
      std::memcpy(next.data(), at, next.size());
      for (int i = 0; i < 4; ++i) next[i] ^= static_cast<uint8_t>(state_ >> (8 * i));
      state_ = 0;
      for (int i = 0; i < 8; ++i) state_ ^= kCrc32cTables[7 - i][next[i]];
    }
    for (; left > 0; --left, ++at) {
      state_ = kCrc32cTables[0][(state_ ^ std::to_integer<uint32_t>(*at)) & 0xff] ^ (state_ >> 8);
    }
  }
  [[nodiscard]] uint32_t value() const { return ~state_; }

  static uint32_t of(std::span<const std::byte> bytes) {
    Crc32c crc;
    crc.add(bytes);
    return crc.value();
  }

 private:
  uint32_t state_ = ~uint32_t{0};
};

}  // namespace flash_mla::kv_cache
