#include "cache_model.h"

#include <algorithm>
#include <set>

#include "require.h"

namespace flash_mla::fuzz {
namespace {

int32_t entry(const ConstTensor& table, int64_t row, int64_t column) {
  return static_cast<const int32_t*>(table.data)[row * table.strides[0] + column * table.strides[1]];
}

void add_bytes(const test::Array& cache, int64_t slot, CacheModel::Row& row) {
  const Tensor& view = cache.view();
  if (view.absent()) return;
  const auto size = static_cast<int64_t>(size_of(view.dtype));
  for (int64_t head = 0; head < view.shape[2]; ++head) {
    const int64_t at =
        slot / view.shape[1] * view.strides[0] + slot % view.shape[1] * view.strides[1] + head * view.strides[2];
    const auto* first = static_cast<const std::byte*>(view.data) + at * size;
    row.insert(row.end(), first, first + view.shape[3] * size);
  }
}

}  // namespace

CacheModel::Row slot_bytes(const test::Array& k_cache, const test::Array& v_cache, int64_t slot) {
  CacheModel::Row row;
  add_bytes(k_cache, slot, row);
  add_bytes(v_cache, slot, row);
  return row;
}

void CacheModel::check(const KvCache& cache, const test::Array& k_cache, const test::Array& v_cache) const {
  const KvCacheGeometry& geometry = cache.geometry();
  const ConstTensor table = cache.page_table(), lengths = cache.seqlens();
  std::set<int32_t> used;
  int64_t tokens = 0, pages = 0;
  for (int64_t row = 0; row < geometry.max_sequences; ++row) {
    const auto found = std::ranges::find_if(sequences, [&](const auto& one) { return cache.row_of(one.first) == row; });
    const int64_t length = found == sequences.end() ? 0 : static_cast<int64_t>(found->second.size());
    require(static_cast<const int32_t*>(lengths.data)[row] == length, "the length of a sequence");
    for (int64_t token = 0; token < length; ++token) {
      const int32_t page = entry(table, row, token / geometry.page_size);
      require(page >= 0 && page < geometry.num_pages, "a page number");
      used.insert(page);
      const int64_t slot = page * geometry.page_size + token % geometry.page_size;
      require(slot_bytes(k_cache, v_cache, slot) == found->second[token], "a cached row");
    }
    tokens += length;
    pages += (length + geometry.page_size - 1) / geometry.page_size;
  }
  require(static_cast<int64_t>(used.size()) == pages, "a page belongs to two sequences");
  require(cache.num_tokens() == tokens && cache.num_used_pages() == pages &&
              cache.num_free_pages() == geometry.num_pages - pages,
          "the counters");
  require(k_cache.surroundings_intact() && (v_cache.view().absent() || v_cache.surroundings_intact()),
          "memory beside the caches was written");
}

}  // namespace flash_mla::fuzz
