#include "kv_cache/manager.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace flash_mla::kv_cache {
namespace {

std::vector<KvCacheGroup> groups_of(const KvCacheGeometry& geometry, const KvCacheOptions& options) {
  std::vector<KvCacheGroup> groups = options.groups;
  if (groups.empty()) groups.emplace_back();
  for (KvCacheGroup& group : groups) {
    if (group.page_size == 0) group.page_size = geometry.page_size;
  }
  return groups;
}

std::vector<int64_t> columns_of(int64_t max_tokens, const std::vector<KvCacheGroup>& groups) {
  std::vector<int64_t> columns;
  columns.reserve(groups.size());
  for (const KvCacheGroup& group : groups) columns.push_back(divide_up(max_tokens, group.page_size));
  return columns;
}

int64_t largest_page(const std::vector<KvCacheGroup>& groups) {
  int64_t largest = 0;
  for (const KvCacheGroup& group : groups) largest = std::max(largest, group.page_size);
  return largest;
}

int64_t most_transfers(const KvCacheGeometry& geometry, const KvCacheOptions& options) {
  if (options.tier_pages.empty()) return 0;
  if (options.max_transfers > 0) return options.max_transfers;
  int64_t columns = 0;
  for (const int64_t count : columns_of(geometry.max_tokens, groups_of(geometry, options))) columns += count;
  return std::min(columns, geometry.num_pages);
}

}  // namespace

Manager::Manager(const KvCacheGeometry& shape, const KvCacheOptions& settings, const KvCacheHash& key)
    : geometry(shape),
      options(settings),
      groups(groups_of(shape, settings)),
      tables(shape.max_sequences, columns_of(shape.max_tokens, groups)),
      pool(shape.num_pages),
      index(settings.prefix_caching ? shape.num_pages : 0, settings.prefix_caching ? largest_page(groups) : 0, key,
            settings.hash_bits),
      rows(shape.max_sequences),
      sequences(static_cast<size_t>(shape.max_sequences)),
      progress(static_cast<size_t>(shape.max_sequences) * groups.size()),
      transfers(most_transfers(shape, settings), settings.tier_pages),
      events(settings.max_events) {
  for (const int64_t pages : settings.tier_pages) {
    tier_tokens.emplace_back(settings.prefix_caching ? static_cast<size_t>(pages * index.record_size()) : 0);
  }
  for (const KvCacheGroup& group : groups) hit_unit = std::lcm(hit_unit, group.page_size);
  for (int64_t group = 0; group < num_groups(); ++group) {
    const auto columns = static_cast<size_t>(tables.columns(group));
    if (settings.prefix_caching) {
      hits.emplace_back(columns, kNone);
      hit_chain.emplace_back(columns);
    }
    if (!settings.tier_pages.empty()) {
      tier_tables.emplace_back(static_cast<size_t>(shape.max_sequences) * columns, kNone);
    }
  }
}

int64_t Manager::row_of(int64_t id) const {
  const int64_t row = id & 0xffffffff;
  return rows.in_use(row) && id_of_row(row) == id ? row : -1;
}

bool Manager::is_live(int64_t row, int64_t group, int64_t column) const {
  return column < pages_of(group, sequences[row].length) &&
         (column < sink_columns(group) || column >= progress_of(row, group).first_live);
}

Status Manager::alive() const {
  if (!poisoned) return {};
  return core::error(StatusCode::corrupt, "this cache serves no more: {}", poison_reason);
}

Status Manager::poison(std::string why) {
  if (!poisoned) poison_reason = std::move(why);
  poisoned = true;
  return alive();
}

Status Manager::unknown(int64_t id) {
  return core::error(StatusCode::not_found, "sequence {} does not exist", id);
}

Status Manager::writable(int64_t id, int64_t& row) const {
  if (poisoned) return alive();
  row = row_of(id);
  if (row < 0) return unknown(id);
  const Sequence& sequence = sequences[row];
  if (sequence.frozen) return core::invalid("sequence {} is frozen: it can be forked and removed only", id);
  if (sequence.tier >= 0 || sequence.transfers > 0) {
    return core::invalid("sequence {} is swapped out or on its way: it must be resident", id);
  }
  return {};
}

int64_t Manager::available(int64_t row) const {
  const int64_t own = row < 0 ? 0 : sequences[row].reserved;
  return pool.num_free() + pool.num_cached() - (counters.reserved_pages - own);
}

Status Manager::out_of_pages(int64_t row, int64_t needed, const char* what) {
  const int64_t own = row < 0 ? 0 : sequences[row].reserved;
  shortage = {needed, pool.num_free(), pool.num_cached(), counters.reserved_pages - own};
  return core::error(StatusCode::out_of_pages,
                     "{} needs {} more pages, but {} of {} are free, {} evictable, and {} of those reserved", what,
                     needed, shortage.free, geometry.num_pages, shortage.evictable, shortage.reserved);
}

int32_t Manager::take_page(int64_t group) {
  if (pool.num_free() == 0) {
    evict(pool.oldest_cached());
    counters.evictions += 1;
  }
  const int32_t page = pool.take(static_cast<int>(group));
  if (options.prefix_caching) index.extra_of(page) = 0;
  counters.allocations += 1;
  return page;
}

int64_t Manager::release_page(int32_t page) {
  const int64_t before = pool.num_used();
  if (!pool.release(page)) {
    static_cast<void>(poison(core::format("page {} was released more often than it was taken", page)));
  }
  return before - pool.num_used();
}

void Manager::unpublish(int32_t page) {
  if (!pool[page].published) return;
  index.unpublish(pool, page);
  record({KvCacheEvent::Kind::removed,
          pool[page].group,
          page,
          static_cast<int32_t>(groups[pool[page].group].page_size),
          index.prefix_of(page).hash,
          {}});
}

void Manager::evict(int32_t page) {
  unpublish(page);
  pool.free_cached(page);
}

void Manager::record(const KvCacheEvent& event) {
  if (!events.push(event)) counters.dropped_events += 1;
}

int64_t Manager::waste_of(int64_t length) const {
  int64_t waste = 0;
  for (const KvCacheGroup& group : groups) {
    const int64_t filled = length % group.page_size;
    waste += filled == 0 ? 0 : group.page_size - filled;
  }
  return waste;
}

void Manager::show_length(int64_t row, int64_t length) {
  const int64_t before = tables.length(row);
  counters.tokens += length - before;
  counters.wasted_tokens += waste_of(length) - waste_of(before);
  tables.set_length(row, static_cast<int32_t>(length));
}

int64_t Manager::begin_row() {
  const int32_t row = rows.take();
  counters.sequences += 1;
  Sequence& sequence = sequences[row];
  const uint32_t generation = sequence.generation;
  sequence = Sequence();
  sequence.generation = generation;
  sequence.root = index.root(0, 0);
  for (int64_t group = 0; group < num_groups(); ++group) progress_of(row, group) = Progress{.chain = sequence.root};
  return row;
}

void Manager::release_row(int64_t row) {
  Sequence& sequence = sequences[row];
  set_reserved(row, 0);
  tables.open(row);
  // From the end, so that a prompt's head is evicted last, and so that the next sequence gets these pages in their
  // order.
  for (int64_t group = 0; group < num_groups(); ++group) {
    for (int64_t column = pages_of(group, sequence.length) - 1; column >= 0; --column) {
      const int32_t page = tables.get(group, row, column);
      if (page == kNone) continue;
      release_page(page);
      tables.set(group, row, column, kNone);
    }
  }
  show_length(row, 0);
  tables.close(row);
  sequence.length = 0;
  sequence.generation = (sequence.generation + 1) & 0x7fffffff;
  rows.give_back(static_cast<int32_t>(row));
  counters.sequences -= 1;
}

}  // namespace flash_mla::kv_cache
