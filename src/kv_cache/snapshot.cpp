// Writing a snapshot: beside the file, then fsync, then rename, so that a process that dies at any moment leaves the
// old file or the new one.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

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
    if (file_ < 0) return;
    close(file_);
    unlink(path_.c_str());  // still here: it did not become the snapshot
  }

  Status create() {
    file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return file_ >= 0 ? Status() : failure("creating");
  }
  Status write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(file_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return failure("writing");
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
    return {};
  }
  /// The bytes are on the disk, under their final name.
  Status finish(const std::string& name) {
    if (fsync(file_) != 0) return failure("syncing");
    if (rename(path_.c_str(), name.c_str()) != 0) return failure("renaming");
    close(file_);
    file_ = -1;
    std::string folder = std::filesystem::path(name).parent_path().string();
    if (folder.empty()) folder = ".";
    const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return failure("opening the folder of");
    const bool synced = fsync(directory) == 0;
    const int cause = errno;
    close(directory);
    errno = cause;
    return synced ? Status() : failure("syncing the folder of");
  }

 private:
  Status failure(const char* doing) const {
    const int cause = errno;
    return core::error(StatusCode::io_error, "{} '{}' failed: {}", doing, path_, std::strerror(cause));
  }

  std::string path_;
  int file_ = -1;
};

struct Order {
  std::vector<int32_t> pages;    ///< to be saved, in this order
  std::vector<int32_t> numbers;  ///< of each page in that order; kNone: not saved
};

Order order_of(const Manager& m) {
  Order order;
  for (const bool pinned : {true, false}) {
    for (int64_t page = 0; page < m.pool.size(); ++page) {
      const Page& of = m.pool[page];
      if (of.place == Place::used && (of.pins > 0) == pinned) order.pages.push_back(static_cast<int32_t>(page));
    }
  }
  m.pool.for_each_cached([&](int32_t page) { order.pages.push_back(page); });
  order.numbers.assign(static_cast<size_t>(m.pool.size()), kNone);
  for (size_t i = 0; i < order.pages.size(); ++i) order.numbers[order.pages[i]] = static_cast<int32_t>(i);
  return order;
}

std::vector<std::byte> sequences_of(const Manager& m, const Order& order) {
  std::vector<std::byte> bytes;
  for (const Sequence& sequence : m.sequences) put(bytes, sequence.generation);
  for (int64_t row = 0; row < m.geometry.max_sequences; ++row) {
    if (!m.rows.in_use(row)) continue;
    const Sequence& s = m.sequences[row];
    put(bytes, SequenceRecord{row, s.length, s.computed, s.known, s.target, s.reserved, s.priority, s.frozen,
                              s.root.hash, s.root.serial});
    for (int64_t group = 0; group < m.num_groups(); ++group) {
      const Progress& at = m.progress_of(row, group);
      put(bytes, ProgressRecord{at.chain.hash, at.chain.serial, at.published, at.first_live});
      for (int64_t column = 0; column < m.pages_of(group, s.length); ++column) {
        const int32_t page = m.tables.get(group, row, column);
        put(bytes, page == kNone ? kNone : order.numbers[page]);
      }
    }
  }
  return bytes;
}

/// One page's record, tokens and bytes, with room for the CRC.
Status page_bytes_of(const Manager& m, int32_t page, const PageArrays& arrays, std::vector<std::byte>& bytes) {
  const Page& of = m.pool[page];
  PageRecord record{of.group, of.priority, of.published, of.pins, 0, {}, 0, {}, 0};
  bytes.clear();
  if (m.options.prefix_caching) {
    record.extra = m.index.extra_of(page);
    const Prefix prefix = of.published ? m.index.prefix_of(page) : Prefix();
    const Prefix parent = of.published ? m.index.parent_of(page) : Prefix();
    record.hash = prefix.hash;
    record.serial = prefix.serial;
    record.parent_hash = parent.hash;
    record.parent_serial = parent.serial;
  }
  put(bytes, record);
  if (m.options.prefix_caching) {
    const auto tokens =
        std::as_bytes(std::span(m.index.tokens_of(page), static_cast<size_t>(m.groups[of.group].page_size)));
    bytes.insert(bytes.end(), tokens.begin(), tokens.end());
  }
  const size_t head = bytes.size();
  bytes.resize(head + static_cast<size_t>(arrays.page_bytes(of.group)));
  FLASH_MLA_RETURN_IF_ERROR(arrays.gather(of.group, page, std::span(bytes).subspan(head)));
  put(bytes, Crc32c::of(bytes));
  return {};
}

SnapshotHeader header_of(const Manager& m, const PageArrays& arrays) {
  SnapshotHeader header;
  header.num_pages = m.geometry.num_pages;
  header.page_size = m.geometry.page_size;
  header.max_sequences = m.geometry.max_sequences;
  header.max_tokens = m.geometry.max_tokens;
  header.watermark_pages = m.options.watermark_pages;
  header.max_in_flight_tokens = m.options.max_in_flight_tokens;
  header.max_events = m.options.max_events;
  header.max_transfers = m.options.max_transfers;
  header.num_sequences = m.counters.sequences;
  header.last_serial = m.index.last_serial();
  header.hash_key_low = m.index.key().low;
  header.hash_key_high = m.index.key().high;
  header.hash_bits = static_cast<uint32_t>(m.index.hash_bits());
  header.prefix_caching = m.options.prefix_caching;
  header.num_groups = static_cast<uint32_t>(m.num_groups());
  header.num_tiers = static_cast<uint32_t>(m.options.tier_pages.size());
  for (size_t i = 0; i < m.groups.size(); ++i) {
    header.groups[i] = {m.groups[i].page_size, m.groups[i].window, m.groups[i].sinks,
                        arrays.page_bytes(static_cast<int32_t>(i))};
  }
  std::copy(m.options.tier_pages.begin(), m.options.tier_pages.end(), header.tier_pages.begin());
  return header;
}

Status check_writable(const Manager& m) {
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  if (m.transfers.places.count() < m.transfers.places.size()) {
    return core::invalid("{} transfers are under way: a snapshot needs them completed",
                         m.transfers.places.size() - m.transfers.places.count());
  }
  for (int64_t row = 0; row < m.geometry.max_sequences; ++row) {
    if (!m.rows.in_use(row) || m.sequences[row].tier < 0) continue;
    return core::invalid("sequence {} is swapped out: a snapshot needs it in the pool", m.id_of_row(row));
  }
  return {};
}

Status write_snapshot(const Manager& m, const std::string& path, const PageArrays& arrays) {
  FLASH_MLA_RETURN_IF_ERROR(check_writable(m));
  const Order order = order_of(m);
  std::vector<std::byte> sequences = sequences_of(m, order);
  SnapshotHeader header = header_of(m, arrays);
  header.saved_pages = static_cast<int64_t>(order.pages.size());
  header.sequence_bytes = sequences.size();
  put(sequences, Crc32c::of(sequences));
  header.file_bytes = sizeof(header) + sequences.size();
  for (const int32_t page : order.pages) {
    const int group = m.pool[page].group;
    const auto tokens = m.options.prefix_caching ? static_cast<uint64_t>(m.groups[group].page_size) : 0;
    header.file_bytes += sizeof(PageRecord) + tokens * sizeof(int32_t) +
                         static_cast<uint64_t>(arrays.page_bytes(group)) + sizeof(uint32_t);
  }
  const auto checked = std::as_bytes(std::span(&header, 1)).first(sizeof(header) - sizeof(header.crc));
  header.crc = Crc32c::of(checked);

  File file(path + ".partial");
  FLASH_MLA_RETURN_IF_ERROR(file.create());
  FLASH_MLA_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&header, 1))));
  FLASH_MLA_RETURN_IF_ERROR(file.write(sequences));
  std::vector<std::byte> bytes;
  for (const int32_t page : order.pages) {
    FLASH_MLA_RETURN_IF_ERROR(page_bytes_of(m, page, arrays, bytes));
    FLASH_MLA_RETURN_IF_ERROR(file.write(bytes));
  }
  return file.finish(path);
}

}  // namespace
}  // namespace kv_cache

Status KvCache::snapshot(const std::string& path, const PageArrays& arrays) const {
  try {
    return kv_cache::write_snapshot(*manager_, path, arrays);
  } catch (const std::exception& error) {
    return core::error(StatusCode::io_error, "the snapshot '{}' could not be made: {}", path, error.what());
  }
}

}  // namespace flash_mla
