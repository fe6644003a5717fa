// Reading a snapshot: the whole file is checked, a cache is made of it and audited, and only then bytes go into arrays.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "flash_mla/kv_cache_data.h"
#include "kv_cache/crc32c.h"
#include "kv_cache/manager.h"
#include "kv_cache/snapshot_format.h"

namespace flash_mla {

namespace kv_cache {
namespace {

class File {
 public:
  explicit File(std::string path) : path_(std::move(path)) {}
  ~File() {
    if (file_ >= 0) close(file_);
  }

  Status open() {
    file_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat about {};
    if (file_ < 0 || fstat(file_, &about) != 0) {
      const int cause = errno;
      return core::error(StatusCode::io_error, "opening '{}' failed: {}", path_, std::strerror(cause));
    }
    size_ = static_cast<uint64_t>(about.st_size);
    return {};
  }
  [[nodiscard]] uint64_t size() const { return size_; }
  Status read(std::span<std::byte> bytes, uint64_t at) const {
    while (!bytes.empty()) {
      const ssize_t count = pread(file_, bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        const int cause = errno;
        return core::error(StatusCode::io_error, "reading '{}' failed: {}", path_, std::strerror(cause));
      }
      if (count == 0) return refuse("is truncated");
      bytes = bytes.subspan(static_cast<size_t>(count));
      at += static_cast<uint64_t>(count);
    }
    return {};
  }
  [[nodiscard]] Status refuse(const std::string& why) const {
    return core::invalid("the snapshot '{}' {}", path_, why);
  }

 private:
  std::string path_;
  int file_ = -1;
  uint64_t size_ = 0;
};

Status read_header(const File& file, SnapshotHeader& header) {
  if (file.size() < sizeof(header.magic)) return file.refuse("is no snapshot: it is too short for one");
  FLASH_MLA_RETURN_IF_ERROR(file.read(std::as_writable_bytes(std::span(&header.magic, 1)), 0));
  if (header.magic != kSnapshotMagic) return file.refuse("is no snapshot: it begins with other bytes");
  if (file.size() < sizeof(header)) return file.refuse("is truncated: it ends within its header");
  FLASH_MLA_RETURN_IF_ERROR(file.read(std::as_writable_bytes(std::span(&header, 1)), 0));
  const auto checked = std::as_bytes(std::span(&header, 1)).first(sizeof(header) - sizeof(header.crc));
  if (header.byte_order != kByteOrder) return file.refuse("is of a machine of the other byte order");
  if (header.version != kSnapshotVersion) {
    return file.refuse(core::format("is of version {}; expected version {}", header.version, kSnapshotVersion));
  }
  if (Crc32c::of(checked) != header.crc) return file.refuse("is corrupt: its header does not have its checksum");
  if (file.size() != header.file_bytes) {
    return file.refuse(core::format("{}: it has {} bytes of {}",
                                    file.size() < header.file_bytes ? "is truncated" : "has something behind its end",
                                    file.size(), header.file_bytes));
  }
  return {};
}

KvCacheOptions options_of(const SnapshotHeader& header) {
  KvCacheOptions options;
  for (uint32_t i = 0; i < std::min<uint32_t>(header.num_groups, kMaxKvCacheGroups); ++i) {
    options.groups.push_back({header.groups[i].page_size, header.groups[i].window, header.groups[i].sinks});
  }
  options.prefix_caching = header.prefix_caching != 0;
  options.watermark_pages = header.watermark_pages;
  options.max_in_flight_tokens = header.max_in_flight_tokens;
  options.max_events = header.max_events;
  options.max_transfers = header.max_transfers;
  options.tier_pages.assign(header.tier_pages.begin(),
                            header.tier_pages.begin() + std::min<uint32_t>(header.num_tiers, kMostTiers));
  options.hash_bits = static_cast<int>(header.hash_bits);
  options.hash_key = KvCacheHash{header.hash_key_low, header.hash_key_high};
  return options;
}

Status check_fit(const File& file, const SnapshotHeader& header, const PageArrays& arrays, int64_t num_pages) {
  if (header.saved_pages > num_pages) {
    return file.refuse(
        core::format("holds {} pages: they do not fit into a pool of num_pages = {}", header.saved_pages, num_pages));
  }
  for (int32_t group = 0; group < kMaxKvCacheGroups; ++group) {
    if (arrays.page_bytes(group) == header.groups[group].page_bytes) continue;
    return file.refuse(core::format("has pages of {} bytes in group {}: the arrays have {}",
                                    header.groups[group].page_bytes, group, arrays.page_bytes(group)));
  }
  for (const PageArray& array : arrays.arrays()) {
    if (array.num_pages >= num_pages) continue;
    return file.refuse(core::format("needs arrays of {} pages: one has {}", num_pages, array.num_pages));
  }
  return {};
}

/// Reads the saved pages one after the other, each with its checksum.
class PageReader {
 public:
  PageReader(const File& file, const SnapshotHeader& header)
      : file_(file), header_(header), at_(sizeof(header) + header.sequence_bytes + sizeof(uint32_t)) {}

  PageRecord record;
  std::span<const std::byte> tokens;
  std::span<const std::byte> data;

  Status next(int64_t number) {
    bytes_.resize(sizeof(PageRecord));
    FLASH_MLA_RETURN_IF_ERROR(file_.read(bytes_, at_));
    std::memcpy(&record, bytes_.data(), sizeof(record));
    Status damaged = file_.refuse(core::format("is corrupt: page {} does not have its checksum", number));
    if (record.group >= header_.num_groups) return damaged;
    const GroupRecord& group = header_.groups[record.group];
    const size_t token_bytes = header_.prefix_caching != 0 ? static_cast<size_t>(group.page_size) * sizeof(int32_t) : 0;
    const size_t size = sizeof(PageRecord) + token_bytes + static_cast<size_t>(group.page_bytes);
    if (size + sizeof(uint32_t) > header_.file_bytes - at_) return damaged;
    bytes_.resize(size + sizeof(uint32_t));
    FLASH_MLA_RETURN_IF_ERROR(file_.read(bytes_, at_));
    at_ += bytes_.size();
    uint32_t crc = 0;
    std::memcpy(&crc, bytes_.data() + size, sizeof(crc));
    const std::span<const std::byte> checked(bytes_.data(), size);
    if (Crc32c::of(checked) != crc) return damaged;
    tokens = checked.subspan(sizeof(PageRecord), token_bytes);
    data = checked.subspan(sizeof(PageRecord) + token_bytes);
    return {};
  }
  [[nodiscard]] bool at_end() const { return at_ == header_.file_bytes; }

 private:
  const File& file_;
  const SnapshotHeader& header_;
  uint64_t at_;
  std::vector<std::byte> bytes_;
};

Status inconsistent(const File& file, const char* what) {
  return file.refuse(core::format("is corrupt: {}", what));
}

/// Takes every saved page, in its order, with one reference that release_pages() drops again.
Status take_pages(const File& file, const SnapshotHeader& header, Manager& m, std::vector<int32_t>& pins) {
  PageReader reader(file, header);
  for (int64_t number = 0; number < header.saved_pages; ++number) {
    FLASH_MLA_RETURN_IF_ERROR(reader.next(number));
    const PageRecord& record = reader.record;
    if (record.priority >= kNumKvCachePriorities || record.pins < 0) return inconsistent(file, "a page's record");
    const int32_t page = m.take_page(record.group);
    m.pool[page].priority = static_cast<uint8_t>(record.priority);
    pins.push_back(record.pins);
    if (!m.options.prefix_caching) continue;
    std::memcpy(m.index.tokens_of(page), reader.tokens.data(), reader.tokens.size());
    m.index.extra_of(page) = record.extra;
    if (record.published == 0) continue;
    m.index.restore(m.pool, page, {record.hash, record.serial}, {record.parent_hash, record.parent_serial},
                    m.groups[record.group].page_size, header.last_serial);
  }
  return reader.at_end() ? Status() : inconsistent(file, "its pages do not end where it ends");
}

Status read_sequence(const File& file, const SnapshotHeader& header, Manager& m, Reader& reader) {
  const auto record = reader.get<SequenceRecord>();
  const bool sound = record.row >= 0 && record.row < m.geometry.max_sequences && record.length >= 0 &&
                     record.length <= m.geometry.max_tokens && record.computed >= 0 &&
                     record.computed <= record.length && record.known >= 0 && record.known <= record.length &&
                     record.target >= 0 && record.target <= m.geometry.max_tokens &&
                     record.priority < kNumKvCachePriorities;
  if (!sound || m.rows.in_use(record.row)) return inconsistent(file, "a sequence's record");
  m.rows.take(static_cast<int32_t>(record.row));
  m.counters.sequences += 1;
  Sequence& sequence = m.sequences[record.row];
  sequence.length = static_cast<int32_t>(record.length);
  sequence.computed = static_cast<int32_t>(record.computed);
  sequence.known = static_cast<int32_t>(record.known);
  sequence.priority = static_cast<uint8_t>(record.priority);
  sequence.frozen = record.frozen != 0;
  sequence.root = {record.root, record.root_serial};
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    const auto at = reader.get<ProgressRecord>();
    if (at.published < 0 || at.first_live < 0) return inconsistent(file, "a sequence's progress");
    m.progress_of(record.row, group) = {{at.chain, at.serial}, at.published, at.first_live};
    for (int64_t column = 0; column < m.pages_of(group, record.length); ++column) {
      const auto number = reader.get<int32_t>();
      if (number == kNone) continue;
      if (number < 0 || number >= header.saved_pages) return inconsistent(file, "a page number");
      m.pool.add_reference(number);  // pages were taken from 0 on, so their numbers are those of the file
      m.tables.set(group, record.row, column, number);
    }
  }
  m.show_length(record.row, record.length);
  sequence.target = record.target;
  if (record.reserved < 0 || record.reserved > m.pages_to_reserve(record.row, record.length, record.target)) {
    return inconsistent(file, "a sequence's reservation");
  }
  sequence.reserved = record.reserved;
  m.counters.reserved_pages += record.reserved;
  return {};
}

Status read_sequences(const File& file, const SnapshotHeader& header, Manager& m) {
  const uint64_t room = header.file_bytes - sizeof(header);
  if (header.sequence_bytes > room || room - header.sequence_bytes < sizeof(uint32_t)) {
    return inconsistent(file, "its sequences do not fit into it");
  }
  std::vector<std::byte> bytes(static_cast<size_t>(header.sequence_bytes) + sizeof(uint32_t));
  FLASH_MLA_RETURN_IF_ERROR(file.read(bytes, sizeof(header)));
  const auto checked = std::span<const std::byte>(bytes).first(static_cast<size_t>(header.sequence_bytes));
  uint32_t crc = 0;
  std::memcpy(&crc, bytes.data() + checked.size(), sizeof(crc));
  if (Crc32c::of(checked) != crc) return inconsistent(file, "its sequences do not have their checksum");
  Reader reader(checked);
  for (Sequence& sequence : m.sequences) sequence.generation = reader.get<uint32_t>() & 0x7fffffff;
  for (int64_t i = 0; i < header.num_sequences && reader.ok(); ++i) {
    FLASH_MLA_RETURN_IF_ERROR(read_sequence(file, header, m, reader));
  }
  return reader.at_end() ? Status() : inconsistent(file, "its sequences do not end where they should");
}

Status fill(const File& file, const SnapshotHeader& header, Manager& m) {
  std::vector<int32_t> pins;
  FLASH_MLA_RETURN_IF_ERROR(take_pages(file, header, m, pins));
  FLASH_MLA_RETURN_IF_ERROR(read_sequences(file, header, m));
  for (int32_t page = 0; page < static_cast<int32_t>(pins.size()); ++page) {
    for (int32_t i = 0; i < pins[page]; ++i) m.pool.add_reference(page);
    m.pool[page].pins = pins[page];
    // Those that nobody has are cached: in this order, the order of their eviction.
    m.release_page(page);
  }
  m.counters.allocations = 0;
  return m.alive();
}

Status scatter(const File& file, const SnapshotHeader& header, const PageArrays& arrays) {
  if (arrays.empty()) return {};
  PageReader reader(file, header);
  for (int64_t number = 0; number < header.saved_pages; ++number) {
    FLASH_MLA_RETURN_IF_ERROR(reader.next(number));
    FLASH_MLA_RETURN_IF_ERROR(arrays.scatter(static_cast<int32_t>(reader.record.group), number, reader.data));
  }
  return {};
}

Result<std::shared_ptr<Manager>> read_snapshot(const std::string& path, const PageArrays& arrays, int64_t num_pages) {
  File file(path);
  FLASH_MLA_RETURN_IF_ERROR(file.open());
  SnapshotHeader header;
  FLASH_MLA_RETURN_IF_ERROR(read_header(file, header));
  const KvCacheOptions options = options_of(header);
  const KvCacheGeometry geometry{num_pages == 0 ? header.num_pages : num_pages, header.page_size, header.max_sequences,
                                 header.max_tokens};
  FLASH_MLA_RETURN_IF_ERROR(check_geometry(geometry, options));
  FLASH_MLA_RETURN_IF_ERROR(check_fit(file, header, arrays, geometry.num_pages));
  auto manager = std::make_shared<Manager>(geometry, options, *options.hash_key);
  FLASH_MLA_RETURN_IF_ERROR(fill(file, header, *manager));
  const int64_t available = manager->pool.num_free() + manager->pool.num_cached();
  if (manager->counters.reserved_pages > available) {
    return file.refuse(core::format("has {} pages reserved: a pool of num_pages = {} leaves {}",
                                    int64_t{manager->counters.reserved_pages}, geometry.num_pages, available));
  }
  if (const Status sound = audit(*manager); !sound.ok()) {
    return file.refuse(core::format("is corrupt: {}", sound.message()));
  }
  FLASH_MLA_RETURN_IF_ERROR(scatter(file, header, arrays));
  return manager;
}

}  // namespace
}  // namespace kv_cache

Result<KvCache> KvCache::restore(const std::string& path, const PageArrays& arrays, int64_t num_pages) {
  try {
    Result<std::shared_ptr<kv_cache::Manager>> manager = kv_cache::read_snapshot(path, arrays, num_pages);
    if (!manager.ok()) return manager.status();
    return KvCache(std::move(manager).value());
  } catch (const std::exception& error) {
    return core::invalid("the snapshot '{}' does not fit in memory: {}", path, error.what());
  }
}

}  // namespace flash_mla
