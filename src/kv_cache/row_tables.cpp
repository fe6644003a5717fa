#include "kv_cache/row_tables.h"

#include <algorithm>

#include "kv_cache/page_pool.h"

namespace flash_mla::kv_cache {

namespace {

std::vector<std::vector<int32_t>> make_tables(int64_t num_rows, std::span<const int64_t> columns) {
  std::vector<std::vector<int32_t>> tables;
  for (const int64_t count : columns) tables.emplace_back(static_cast<size_t>(num_rows * count), kNone);
  return tables;
}

}  // namespace

RowTables::RowTables(int64_t num_rows, std::span<const int64_t> columns)
    : columns_(columns.begin(), columns.end()),
      tables_(make_tables(num_rows, columns)),  // the largest first: what does not fit fails before pages are touched
      lengths_(static_cast<size_t>(num_rows)),
      versions_(static_cast<size_t>(num_rows)) {}

int64_t RowTables::read(int64_t row, int64_t group, std::span<int32_t> pages) const {
  // The standard has no atomic_ref of const.
  const auto load = [](const int32_t& place) {
    return std::atomic_ref(const_cast<int32_t&>(place)).load(std::memory_order_acquire);
  };
  const auto count = std::min<int64_t>(columns_[group], static_cast<int64_t>(pages.size()));
  for (;;) {
    const uint32_t before = versions_[row].load(std::memory_order_acquire);
    if (before % 2 != 0) continue;
    const int32_t length = load(lengths_[row]);
    for (int64_t column = 0; column < count; ++column) pages[column] = load(entry(group, row)[column]);
    if (version(row) == before) return length;
  }
}

}  // namespace flash_mla::kv_cache
