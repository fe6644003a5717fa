// The snapshot file: header, sequences, pages, each with a CRC-32C. All fields are little-endian as they lie in memory;
// a machine of the other order refuses the file by its byte-order mark.
//
//   header     SnapshotHeader
//   sequences  generations of all rows (uint32 each), then for each sequence SequenceRecord, a ProgressRecord a group,
//              and a group's pages (int32 each, numbered as they follow below; -1: left the window); then the CRC
//   pages      pinned ones, other used ones, cached ones in the order of their eviction: PageRecord, tokens (with
//   prefix
//              caching), the arrays' bytes; after each page the CRC of all of these
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "flash_mla/kv_cache_types.h"

namespace flash_mla::kv_cache {

inline constexpr std::array<char, 8> kSnapshotMagic = {'F', 'M', 'L', 'A', '_', 'K', 'V', '\n'};
inline constexpr uint32_t kSnapshotVersion = 1;
inline constexpr uint32_t kByteOrder = 0x01020304;
inline constexpr int kMostTiers = 8;

struct GroupRecord {
  int64_t page_size = 0;
  int64_t window = 0;
  int64_t sinks = 0;
  int64_t page_bytes = 0;  ///< of the arrays; 0: none were saved
};

struct SnapshotHeader {
  std::array<char, 8> magic = kSnapshotMagic;
  uint32_t version = kSnapshotVersion;
  uint32_t byte_order = kByteOrder;
  uint64_t file_bytes = 0;
  uint64_t sequence_bytes = 0;  ///< of that section, without its CRC
  int64_t num_pages = 0;
  int64_t page_size = 0;
  int64_t max_sequences = 0;
  int64_t max_tokens = 0;
  int64_t watermark_pages = 0;
  int64_t max_in_flight_tokens = 0;
  int64_t max_events = 0;
  int64_t max_transfers = 0;
  int64_t num_sequences = 0;
  int64_t saved_pages = 0;
  uint64_t last_serial = 0;
  uint64_t hash_key_low = 0;
  uint64_t hash_key_high = 0;
  uint32_t hash_bits = 0;
  uint32_t prefix_caching = 0;
  uint32_t num_groups = 0;
  uint32_t num_tiers = 0;
  std::array<GroupRecord, kMaxKvCacheGroups> groups{};
  std::array<int64_t, kMostTiers> tier_pages{};
  uint32_t reserved = 0;
  uint32_t crc = 0;  ///< of all before it
};

struct SequenceRecord {
  int64_t row = 0;
  int64_t length = 0;
  int64_t computed = 0;
  int64_t known = 0;
  int64_t target = 0;
  int64_t reserved = 0;
  uint32_t priority = 0;
  uint32_t frozen = 0;
  KvCacheHash root;
  uint64_t root_serial = 0;
};

struct ProgressRecord {
  KvCacheHash chain;
  uint64_t serial = 0;
  int32_t published = 0;
  int32_t first_live = 0;
};

struct PageRecord {
  uint32_t group = 0;
  uint32_t priority = 0;
  uint32_t published = 0;
  int32_t pins = 0;
  uint64_t extra = 0;
  KvCacheHash hash;
  uint64_t serial = 0;
  KvCacheHash parent_hash;
  uint64_t parent_serial = 0;
};

static_assert(sizeof(GroupRecord) == 32 && sizeof(SequenceRecord) == 80 && sizeof(ProgressRecord) == 32 &&
                  sizeof(PageRecord) == 72 && sizeof(SnapshotHeader) == 480,
              "fields without padding, so that every byte of the file is checked");

template <class T>
void put(std::vector<std::byte>& bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto* first = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), first, first + sizeof(T));
}

/// Reads values from bytes that were checked to be there; what is missing reads as zeros and leaves `ok` false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  T get() {
    T value{};
    if (bytes_.size() < sizeof(T)) {
      ok_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return ok_ && bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

}  // namespace flash_mla::kv_cache
