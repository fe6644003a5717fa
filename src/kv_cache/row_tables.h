// The page tables of all groups and the lengths, as decode() takes them and as other threads may read them meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "flash_mla/kv_cache_types.h"

namespace flash_mla::kv_cache {

/// One writer, any number of readers. A row's version is odd while the row changes (a sequence lock, Linux's seqlock);
/// entries are atomic, as readers do look while the writer writes, and then look again.
class RowTables {
 public:
  RowTables(int64_t num_rows, std::span<const int64_t> columns);

  void open(int64_t row) { versions_[row].store(version(row) + 1, std::memory_order_relaxed); }
  void close(int64_t row) { versions_[row].store(version(row) + 1, std::memory_order_release); }
  void set(int64_t group, int64_t row, int64_t column, int32_t page) { store(entry(group, row)[column], page); }
  void set_length(int64_t row, int32_t length) { store(lengths_[row], length); }

  /// For the writer's own thread.
  [[nodiscard]] int32_t get(int64_t group, int64_t row, int64_t column) const { return entry(group, row)[column]; }
  [[nodiscard]] const int32_t* row(int64_t group, int64_t row) const { return entry(group, row); }
  [[nodiscard]] int32_t length(int64_t row) const { return lengths_[row]; }
  [[nodiscard]] const int32_t* table(int64_t group) const { return tables_[group].data(); }
  [[nodiscard]] const int32_t* lengths() const { return lengths_.data(); }
  [[nodiscard]] int64_t columns(int64_t group) const { return columns_[group]; }

  /// A row as it was at one moment: its length, and its first pages. Any thread.
  int64_t read(int64_t row, int64_t group, std::span<int32_t> pages) const;

 private:
  [[nodiscard]] uint32_t version(int64_t row) const { return versions_[row].load(std::memory_order_relaxed); }
  [[nodiscard]] int32_t* entry(int64_t group, int64_t row) { return tables_[group].data() + row * columns_[group]; }
  [[nodiscard]] const int32_t* entry(int64_t group, int64_t row) const {
    return tables_[group].data() + row * columns_[group];
  }
  static void store(int32_t& place, int32_t value) {
    std::atomic_ref(place).store(value, std::memory_order_release);  // not before the version is odd
  }

  std::vector<int64_t> columns_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<int32_t> lengths_;
  std::vector<std::atomic<uint32_t>> versions_;
};

}  // namespace flash_mla::kv_cache
