// Making a cache, its sequences' beginning and end, and what it shows.
#include "flash_mla/kv_cache.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "core/error.h"
#include "kv_cache/manager.h"

namespace flash_mla {

using kv_cache::kNone;
using kv_cache::Manager;

namespace kv_cache {
namespace {

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr size_t kMaxTiers = 8;
constexpr int64_t kMostUnit = int64_t{1} << 40;  // of the common page size, far from overflow

Status check_extent(const char* name, int64_t value, int64_t low) {
  if (value >= low && value <= kMaxInt32) return {};
  return core::invalid("{} is {}: must be {} to {}", name, value, low, kMaxInt32);
}

Status check_groups(const KvCacheGeometry& geometry, const KvCacheOptions& options) {
  if (options.groups.size() > kMaxKvCacheGroups) {
    return core::invalid("groups has {} entries: must be at most {}", options.groups.size(), kMaxKvCacheGroups);
  }
  int64_t unit = 1;
  for (size_t i = 0; i < options.groups.size(); ++i) {
    const KvCacheGroup& group = options.groups[i];
    for (const auto& [name, value] :
         {std::pair("page_size", group.page_size), {"window", group.window}, {"sinks", group.sinks}}) {
      if (value >= 0 && value <= kMaxInt32) continue;
      return core::invalid("groups[{}].{} is {}: must be 0 to {}", i, name, value, kMaxInt32);
    }
    if (group.window == 0 && group.sinks > 0) {
      return core::invalid("groups[{}].sinks is {} but its window is 0: sinks go with a window", i, group.sinks);
    }
    unit = std::lcm(unit, group.page_size == 0 ? geometry.page_size : group.page_size);
    if (unit > kMostUnit) return core::invalid("groups: the page sizes have no common multiple below {}", kMostUnit);
  }
  return {};
}

KvCacheHash random_key() {
  std::random_device random;
  const auto word = [&] { return uint64_t{random()} << 32 | random(); };
  return {word(), word()};
}

}  // namespace

Status check_geometry(const KvCacheGeometry& geometry, const KvCacheOptions& options) {
  FLASH_MLA_RETURN_IF_ERROR(check_extent("num_pages", geometry.num_pages, 0));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("page_size", geometry.page_size, 1));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("max_sequences", geometry.max_sequences, 1));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("max_tokens", geometry.max_tokens, 1));
  FLASH_MLA_RETURN_IF_ERROR(check_groups(geometry, options));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("watermark_pages", options.watermark_pages, 0));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("max_in_flight_tokens", options.max_in_flight_tokens, 0));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("max_events", options.max_events, 0));
  FLASH_MLA_RETURN_IF_ERROR(check_extent("max_transfers", options.max_transfers, 0));
  if (options.tier_pages.size() > kMaxTiers) {
    return core::invalid("tier_pages has {} entries: must be at most {}", options.tier_pages.size(), kMaxTiers);
  }
  for (const int64_t pages : options.tier_pages) FLASH_MLA_RETURN_IF_ERROR(check_extent("tier_pages", pages, 0));
  if (options.hash_bits < 1 || options.hash_bits > 128) {
    return core::invalid("hash_bits is {}: must be 1 to 128", options.hash_bits);
  }
  return {};
}

}  // namespace kv_cache

Result<KvCache> KvCache::make(const KvCacheGeometry& geometry, const KvCacheOptions& options) {
  FLASH_MLA_RETURN_IF_ERROR(kv_cache::check_geometry(geometry, options));
  try {
    const KvCacheHash key = options.hash_key ? *options.hash_key : kv_cache::random_key();
    return KvCache(std::make_shared<Manager>(geometry, options, key));
  } catch (const std::exception&) {
    return core::invalid(
        "num_pages is {}, max_sequences is {} and max_tokens is {}: tables of that size do not fit in memory",
        geometry.num_pages, geometry.max_sequences, geometry.max_tokens);
  }
}

KvCache::KvCache(std::shared_ptr<Manager> manager) : manager_(std::move(manager)) {}
KvCache::KvCache(KvCache&&) noexcept = default;
KvCache& KvCache::operator=(KvCache&&) noexcept = default;
KvCache::~KvCache() = default;

Result<int64_t> KvCache::add_sequence() {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  FLASH_MLA_RETURN_IF_ERROR(m.check_rows());
  return m.id_of_row(m.begin_row());
}

Status KvCache::remove_sequence(int64_t sequence) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  const int64_t row = m.row_of(sequence);
  if (row < 0) return Manager::unknown(sequence);
  m.abandon_transfers(row);
  m.release_row(row);
  return m.alive();
}

int64_t KvCache::num_free_pages() const {
  return manager_->pool.num_free() + manager_->pool.num_cached();
}
int64_t KvCache::num_used_pages() const {
  return manager_->pool.num_used();
}
int64_t KvCache::num_tokens() const {
  return manager_->counters.tokens;
}
const KvCacheGeometry& KvCache::geometry() const {
  return manager_->geometry;
}
int64_t KvCache::num_groups() const {
  return manager_->num_groups();
}
const KvCacheGroup& KvCache::group(int64_t index) const {
  return manager_->groups[std::clamp<int64_t>(index, 0, manager_->num_groups() - 1)];
}

int64_t KvCache::row_of(int64_t sequence) const {
  return manager_->row_of(sequence);
}
int64_t KvCache::length(int64_t sequence) const {
  const int64_t row = manager_->row_of(sequence);
  return row < 0 ? -1 : manager_->sequences[row].length;
}
int64_t KvCache::num_computed_tokens(int64_t sequence) const {
  const int64_t row = manager_->row_of(sequence);
  return row < 0 ? -1 : manager_->sequences[row].computed;
}

ConstTensor KvCache::page_table(int64_t group) const {
  if (group < 0 || group >= manager_->num_groups()) return {};
  const kv_cache::RowTables& tables = manager_->tables;
  return {tables.table(group), DType::int32, {manager_->geometry.max_sequences, tables.columns(group)}};
}

ConstTensor KvCache::seqlens() const {
  return {manager_->tables.lengths(), DType::int32, {manager_->geometry.max_sequences}};
}

Status KvCache::slot_mapping(int64_t sequence, int64_t group, int64_t first, std::span<int64_t> slots) const {
  const Manager& m = *manager_;
  const int64_t row = m.row_of(sequence);
  if (row < 0) return Manager::unknown(sequence);
  if (group < 0 || group >= m.num_groups()) {
    return core::invalid("group is {}: must be 0 to {}", group, m.num_groups() - 1);
  }
  const int64_t length = m.sequences[row].length, count = static_cast<int64_t>(slots.size());
  if (first < 0 || count > length || first > length - count) {
    return core::invalid("tokens {} to {} are asked for: sequence {} has {}", first, first + count - 1, sequence,
                         length);
  }
  const int64_t page_size = m.groups[group].page_size;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t page = m.tables.get(group, row, (first + i) / page_size);
    slots[i] = page == kNone ? -1 : page * page_size + (first + i) % page_size;
  }
  return {};
}

int64_t KvCache::read_row(int64_t row, int64_t group, std::span<int32_t> pages) const {
  const Manager& m = *manager_;
  if (row < 0 || row >= m.geometry.max_sequences || group < 0 || group >= m.num_groups()) return -1;
  return m.tables.read(row, group, pages);
}

int64_t KvCache::num_common_prefix_pages() const {
  const Manager& m = *manager_;
  int64_t common = -1;
  const int32_t* first = nullptr;
  for (int64_t row = 0; row < m.geometry.max_sequences && common != 0; ++row) {
    if (!m.rows.in_use(row)) continue;
    const int32_t* pages = m.tables.row(0, row);
    const int64_t full = m.tables.length(row) / m.groups[0].page_size;
    if (first == nullptr) {
      first = pages;
      common = full;
    }
    int64_t same = 0;
    while (same < std::min(common, full) && pages[same] == first[same] && pages[same] != kNone) ++same;
    common = same;
  }
  return std::max<int64_t>(0, common);
}

KvCacheStatistics KvCache::statistics() const {
  const Manager& m = *manager_;
  const kv_cache::Counters& c = m.counters;
  KvCacheStatistics s;
  s.num_pages = m.geometry.num_pages;
  s.free_pages = m.pool.num_free();
  s.cached_pages = m.pool.num_cached();
  s.used_pages = m.pool.num_used();
  s.reserved_pages = c.reserved_pages;
  s.sequences = c.sequences;
  s.tokens = c.tokens;
  s.page_references = m.pool.num_references();
  s.wasted_tokens = c.wasted_tokens;
  s.allocations = c.allocations;
  s.evictions = c.evictions;
  s.copies = c.copies;
  s.query_tokens = c.query_tokens;
  s.hit_tokens = c.hit_tokens;
  s.published_pages = c.published_pages;
  s.dropped_events = c.dropped_events;
  return s;
}

int64_t KvCache::take_events(std::span<KvCacheEvent> events) {
  return manager_->events.take(events);
}

Result<SequenceHandle> KvCache::hold(int64_t sequence) {
  if (manager_->row_of(sequence) < 0) return Manager::unknown(sequence);
  SequenceHandle handle;
  handle.manager_ = manager_;
  handle.id_ = sequence;
  return handle;
}

SequenceHandle::SequenceHandle(SequenceHandle&& other) noexcept
    : manager_(std::move(other.manager_)), id_(std::exchange(other.id_, -1)) {}

SequenceHandle& SequenceHandle::operator=(SequenceHandle&& other) noexcept {
  if (this == &other) return *this;
  reset();
  manager_ = std::move(other.manager_);
  id_ = std::exchange(other.id_, -1);
  return *this;
}

SequenceHandle::~SequenceHandle() {
  reset();
}

int64_t SequenceHandle::release() {
  manager_.reset();
  return std::exchange(id_, -1);
}

void SequenceHandle::reset() {
  const std::shared_ptr<Manager> manager = manager_.lock();
  const int64_t id = release();
  const int64_t row = manager == nullptr || manager->poisoned ? -1 : manager->row_of(id);
  if (row < 0) return;  // removed by hand, or the cache is gone
  manager->abandon_transfers(row);
  manager->release_row(row);
}

}  // namespace flash_mla
