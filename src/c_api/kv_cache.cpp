#include "flash_mla/kv_cache.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "c_api/guard.h"
#include "c_api/tensor.h"
#include "flash_mla/kv_cache_data.h"

struct flash_mla_kv_cache {
  flash_mla::KvCache cache;
};

using namespace flash_mla::c_api;  // NOLINT(google-build-using-namespace): this file is the namespace's C face

namespace {

using flash_mla::PageTransfer;
using flash_mla::Result;
using flash_mla::Status;

constexpr const char* kNoCache = "cache is null";
static_assert(FLASH_MLA_MAX_PAGE_COPIES == flash_mla::kMaxKvCacheGroups);

/// The extras of a C caller, without a copy.
static_assert(sizeof(flash_mla_token_extra) == sizeof(flash_mla::TokenExtra));
std::span<const flash_mla::TokenExtra> extras_of(const flash_mla_token_extra* extras, size_t count) {
  return {reinterpret_cast<const flash_mla::TokenExtra*>(extras), count};
}

flash_mla::SequenceSpec spec_of(const flash_mla_sequence_spec& given) {
  flash_mla::SequenceSpec spec;
  spec.prompt = {given.prompt, given.prompt_size};
  spec.extras = extras_of(given.extras, given.num_extras);
  spec.salt = given.salt;
  spec.adapter = given.adapter;
  spec.priority = given.priority;
  spec.reserve_tokens = given.reserve_tokens;
  spec.leave_watermark = given.leave_watermark != 0;
  return spec;
}

/// Why a spec cannot be read; null if it can.
const char* unreadable(const flash_mla_sequence_spec* spec) {
  if (spec == nullptr) return "spec is null";
  if (spec->prompt == nullptr && spec->prompt_size > 0) return "spec.prompt is null but prompt_size is not 0";
  if (spec->extras == nullptr && spec->num_extras > 0) return "spec.extras is null but num_extras is not 0";
  return nullptr;
}

Result<flash_mla::PageArrays> arrays_of(const flash_mla_page_array* arrays, size_t count) {
  std::vector<flash_mla::PageArray> made;
  for (size_t i = 0; i < count; ++i) {
    const flash_mla_page_array& one = arrays[i];
    made.push_back({one.data, one.num_pages, one.page_bytes, one.page_stride, one.token_bytes, one.group});
  }
  return flash_mla::PageArrays::make(std::move(made));
}

flash_mla_page_transfer to_c(const PageTransfer& transfer) {
  return {transfer.id, transfer.group, transfer.page, transfer.epoch, transfer.tier, transfer.tier_page};
}

/// Calls `swap` with room for transfers and hands out what it made.
template <class Swap>
flash_mla_status swap_with(flash_mla_page_transfer* transfers, size_t max_transfers, size_t* num_transfers,
                           Swap&& swap) {
  if (transfers == nullptr && max_transfers > 0) return report_null("transfers is null but max_transfers is not 0");
  if (num_transfers == nullptr) return report_null("num_transfers is null");
  return guard([&]() -> Status {
    std::vector<PageTransfer> made(max_transfers);
    const Result<int64_t> count = swap(std::span(made));
    if (!count.ok()) return count.status();
    *num_transfers = static_cast<size_t>(count.value());
    std::transform(made.begin(), made.begin() + count.value(), transfers, [](const auto& one) { return to_c(one); });
    return {};
  });
}

}  // namespace

flash_mla_status flash_mla_kv_cache_create(const flash_mla_kv_cache_geometry* geometry, flash_mla_kv_cache** cache) {
  return flash_mla_kv_cache_create_with(geometry, nullptr, cache);
}

flash_mla_status flash_mla_kv_cache_create_with(const flash_mla_kv_cache_geometry* geometry,
                                                const flash_mla_kv_cache_options* options, flash_mla_kv_cache** cache) {
  if (cache == nullptr) return report_null("cache is null; expected a place for the cache");
  *cache = nullptr;
  if (geometry == nullptr) return report_null("geometry is null");
  const flash_mla_kv_cache_options none{};
  const flash_mla_kv_cache_options& given = options == nullptr ? none : *options;
  if (given.groups == nullptr && given.num_groups > 0) return report_null("groups is null but num_groups is not 0");
  if (given.tier_pages == nullptr && given.num_tiers > 0)
    return report_null("tier_pages is null but num_tiers is not 0");
  return guard([&]() -> Status {
    flash_mla::KvCacheOptions made;
    for (size_t i = 0; i < given.num_groups; ++i) {
      made.groups.push_back({given.groups[i].page_size, given.groups[i].window, given.groups[i].sinks});
    }
    made.prefix_caching = given.prefix_caching != 0;
    made.watermark_pages = given.watermark_pages;
    made.max_in_flight_tokens = given.max_in_flight_tokens;
    made.max_events = given.max_events;
    if (given.num_tiers > 0) made.tier_pages.assign(given.tier_pages, given.tier_pages + given.num_tiers);
    made.max_transfers = given.max_transfers;
    if (given.hash_key != nullptr) made.hash_key = flash_mla::KvCacheHash{given.hash_key[0], given.hash_key[1]};
    auto fresh = flash_mla::KvCache::make(
        {geometry->num_pages, geometry->page_size, geometry->max_sequences, geometry->max_tokens}, made);
    if (!fresh.ok()) return fresh.status();
    *cache = new flash_mla_kv_cache{std::move(fresh).value()};
    return {};
  });
}

void flash_mla_kv_cache_destroy(flash_mla_kv_cache* cache) {
  delete cache;
}

flash_mla_status flash_mla_kv_cache_add_sequence(flash_mla_kv_cache* cache, int64_t* sequence) {
  if (cache == nullptr) return report_null(kNoCache);
  if (sequence == nullptr) return report_null("sequence is null; expected a place for its id");
  return guard([&]() -> Status {
    const auto added = cache->cache.add_sequence();
    if (added.ok()) *sequence = added.value();
    return added.status();
  });
}

flash_mla_status flash_mla_kv_cache_start_sequence(flash_mla_kv_cache* cache, const flash_mla_sequence_spec* spec,
                                                   int64_t* sequence, int64_t* num_computed_tokens) {
  if (cache == nullptr) return report_null(kNoCache);
  if (const char* why = unreadable(spec); why != nullptr) return report_null(why);
  if (sequence == nullptr || num_computed_tokens == nullptr) {
    return report_null("sequence or num_computed_tokens is null; expected a place for each");
  }
  return guard([&]() -> Status {
    const auto started = cache->cache.add_sequence(spec_of(*spec));
    if (!started.ok()) return started.status();
    *sequence = started.value().id;
    *num_computed_tokens = started.value().num_computed_tokens;
    return {};
  });
}

flash_mla_status flash_mla_kv_cache_append_tokens(flash_mla_kv_cache* cache, int64_t sequence, size_t num_tokens,
                                                  int64_t* slots) {
  if (cache == nullptr) return report_null(kNoCache);
  if (slots == nullptr && num_tokens != 0) return report_null("slots is null but num_tokens is not 0");
  return guard([&] { return cache->cache.append_tokens(sequence, {slots, num_tokens}); });
}

flash_mla_status flash_mla_kv_cache_grow(flash_mla_kv_cache* cache, int64_t sequence, size_t num_tokens,
                                         const int32_t* tokens, const flash_mla_token_extra* extras, size_t num_extras,
                                         int64_t* slots, flash_mla_page_copy* copies, size_t* num_copies) {
  if (cache == nullptr) return report_null(kNoCache);
  if (extras == nullptr && num_extras > 0) return report_null("extras is null but num_extras is not 0");
  if (copies == nullptr || num_copies == nullptr) {
    return report_null("copies or num_copies is null; expected room for FLASH_MLA_MAX_PAGE_COPIES and their number");
  }
  return guard([&]() -> Status {
    const std::span<int64_t> places(slots, slots == nullptr ? 0 : num_tokens);
    const auto made = tokens == nullptr ? cache->cache.grow(sequence, static_cast<int64_t>(num_tokens), places)
                                        : cache->cache.grow(sequence, std::span(tokens, num_tokens), places,
                                                            extras_of(extras, num_extras));
    if (!made.ok()) return made.status();
    *num_copies = static_cast<size_t>(made.value().count);
    std::ranges::transform(made.value().span(), copies, [](const flash_mla::PageCopy& one) {
      return flash_mla_page_copy{one.group, one.from, one.to, one.tokens};
    });
    return {};
  });
}

flash_mla_status flash_mla_kv_cache_mark_computed(flash_mla_kv_cache* cache, int64_t sequence, int64_t num_tokens) {
  if (cache == nullptr) return report_null(kNoCache);
  return guard([&] { return cache->cache.mark_computed(sequence, num_tokens); });
}

flash_mla_status flash_mla_kv_cache_rewind(flash_mla_kv_cache* cache, int64_t sequence, int64_t num_tokens) {
  if (cache == nullptr) return report_null(kNoCache);
  return guard([&] { return cache->cache.rewind(sequence, num_tokens); });
}

flash_mla_status flash_mla_kv_cache_fork(flash_mla_kv_cache* cache, int64_t sequence, int64_t* child) {
  if (cache == nullptr) return report_null(kNoCache);
  if (child == nullptr) return report_null("child is null; expected a place for its id");
  return guard([&]() -> Status {
    const auto forked = cache->cache.fork(sequence);
    if (forked.ok()) *child = forked.value();
    return forked.status();
  });
}

flash_mla_status flash_mla_kv_cache_freeze(flash_mla_kv_cache* cache, int64_t sequence) {
  if (cache == nullptr) return report_null(kNoCache);
  return guard([&] { return cache->cache.freeze(sequence); });
}

flash_mla_status flash_mla_kv_cache_remove_sequence(flash_mla_kv_cache* cache, int64_t sequence) {
  if (cache == nullptr) return report_null(kNoCache);
  return guard([&] { return cache->cache.remove_sequence(sequence); });
}

flash_mla_status flash_mla_kv_cache_can_admit(flash_mla_kv_cache* cache, const flash_mla_sequence_spec* spec,
                                              flash_mla_admission* admission) {
  if (cache == nullptr) return report_null(kNoCache);
  if (const char* why = unreadable(spec); why != nullptr) return report_null(why);
  if (admission == nullptr) return report_null("admission is null");
  return guard([&]() -> Status {
    const auto found = cache->cache.can_admit(spec_of(*spec));
    if (!found.ok()) return found.status();
    const flash_mla::Admission& a = found.value();
    *admission = {a.fits, a.num_computed_tokens, a.pages_needed, a.evictable_hits, a.pages_available};
    return {};
  });
}

int flash_mla_kv_cache_can_allocate(const flash_mla_kv_cache* cache, int64_t sequence, int64_t num_tokens) {
  return cache != nullptr && cache->cache.can_allocate(sequence, num_tokens) ? 1 : 0;
}

flash_mla_status flash_mla_kv_cache_reserve(flash_mla_kv_cache* cache, int64_t sequence, int64_t num_tokens) {
  if (cache == nullptr) return report_null(kNoCache);
  return guard([&] { return cache->cache.reserve(sequence, num_tokens); });
}

flash_mla_out_of_pages flash_mla_kv_cache_shortage(const flash_mla_kv_cache* cache) {
  if (cache == nullptr) return {};
  const flash_mla::OutOfPages& shortage = cache->cache.shortage();
  return {shortage.needed, shortage.free, shortage.evictable, shortage.reserved};
}

flash_mla_status flash_mla_kv_cache_find_prefix(flash_mla_kv_cache* cache, const flash_mla_sequence_spec* spec,
                                                int64_t* num_tokens) {
  if (cache == nullptr) return report_null(kNoCache);
  if (const char* why = unreadable(spec); why != nullptr) return report_null(why);
  if (num_tokens == nullptr) return report_null("num_tokens is null");
  return guard([&]() -> Status {
    const auto found = cache->cache.find_prefix(spec_of(*spec));
    if (found.ok()) *num_tokens = found.value();
    return found.status();
  });
}

flash_mla_status flash_mla_kv_cache_pin_prefix(flash_mla_kv_cache* cache, const flash_mla_sequence_spec* spec,
                                               int64_t* num_tokens) {
  if (cache == nullptr) return report_null(kNoCache);
  if (const char* why = unreadable(spec); why != nullptr) return report_null(why);
  if (num_tokens == nullptr) return report_null("num_tokens is null");
  return guard([&]() -> Status {
    const auto pinned = cache->cache.pin_prefix(spec_of(*spec));
    if (pinned.ok()) *num_tokens = pinned.value();
    return pinned.status();
  });
}

flash_mla_status flash_mla_kv_cache_unpin_prefix(flash_mla_kv_cache* cache, const flash_mla_sequence_spec* spec,
                                                 int64_t num_tokens) {
  if (cache == nullptr) return report_null(kNoCache);
  if (const char* why = unreadable(spec); why != nullptr) return report_null(why);
  return guard([&] { return cache->cache.unpin_prefix(spec_of(*spec), num_tokens); });
}

flash_mla_status flash_mla_kv_cache_reset_prefix_cache(flash_mla_kv_cache* cache) {
  if (cache == nullptr) return report_null(kNoCache);
  return guard([&] { return cache->cache.reset_prefix_cache(); });
}

flash_mla_status flash_mla_kv_cache_swap_out(flash_mla_kv_cache* cache, int64_t sequence, int64_t tier,
                                             flash_mla_page_transfer* transfers, size_t max_transfers,
                                             size_t* num_transfers) {
  if (cache == nullptr) return report_null(kNoCache);
  return swap_with(transfers, max_transfers, num_transfers,
                   [&](std::span<PageTransfer> into) { return cache->cache.swap_out(sequence, tier, into); });
}

flash_mla_status flash_mla_kv_cache_swap_in(flash_mla_kv_cache* cache, int64_t sequence,
                                            flash_mla_page_transfer* transfers, size_t max_transfers,
                                            size_t* num_transfers) {
  if (cache == nullptr) return report_null(kNoCache);
  return swap_with(transfers, max_transfers, num_transfers,
                   [&](std::span<PageTransfer> into) { return cache->cache.swap_in(sequence, into); });
}

flash_mla_status flash_mla_kv_cache_complete_transfer(flash_mla_kv_cache* cache,
                                                      const flash_mla_page_transfer* transfer) {
  if (cache == nullptr) return report_null(kNoCache);
  if (transfer == nullptr) return report_null("transfer is null");
  return guard([&] {
    return cache->cache.complete_transfer(
        {transfer->id, transfer->group, transfer->page, transfer->epoch, transfer->tier, transfer->tier_page});
  });
}

int flash_mla_kv_cache_is_resident(const flash_mla_kv_cache* cache, int64_t sequence) {
  return cache != nullptr && cache->cache.is_resident(sequence) ? 1 : 0;
}

int64_t flash_mla_kv_cache_pages_needed(const flash_mla_kv_cache* cache, int64_t sequence, int64_t num_tokens) {
  return cache == nullptr ? -1 : cache->cache.pages_needed(sequence, num_tokens);
}

int64_t flash_mla_kv_cache_row_of(const flash_mla_kv_cache* cache, int64_t sequence) {
  return cache == nullptr ? -1 : cache->cache.row_of(sequence);
}

int64_t flash_mla_kv_cache_length(const flash_mla_kv_cache* cache, int64_t sequence) {
  return cache == nullptr ? -1 : cache->cache.length(sequence);
}

int64_t flash_mla_kv_cache_num_computed_tokens(const flash_mla_kv_cache* cache, int64_t sequence) {
  return cache == nullptr ? -1 : cache->cache.num_computed_tokens(sequence);
}

int64_t flash_mla_kv_cache_num_free_pages(const flash_mla_kv_cache* cache) {
  return cache == nullptr ? 0 : cache->cache.num_free_pages();
}

int64_t flash_mla_kv_cache_num_used_pages(const flash_mla_kv_cache* cache) {
  return cache == nullptr ? 0 : cache->cache.num_used_pages();
}

int64_t flash_mla_kv_cache_num_tokens(const flash_mla_kv_cache* cache) {
  return cache == nullptr ? 0 : cache->cache.num_tokens();
}

flash_mla_kv_cache_statistics flash_mla_kv_cache_get_statistics(const flash_mla_kv_cache* cache) {
  if (cache == nullptr) return {};
  const flash_mla::KvCacheStatistics s = cache->cache.statistics();
  return {s.num_pages,    s.free_pages,      s.cached_pages,    s.used_pages,    s.reserved_pages, s.sequences,
          s.tokens,       s.page_references, s.wasted_tokens,   s.allocations,   s.evictions,      s.copies,
          s.query_tokens, s.hit_tokens,      s.published_pages, s.dropped_events};
}

int64_t flash_mla_kv_cache_read_row(const flash_mla_kv_cache* cache, int64_t row, int64_t group, int32_t* pages,
                                    size_t max_pages) {
  return cache == nullptr ? -1 : cache->cache.read_row(row, group, {pages, pages == nullptr ? 0 : max_pages});
}

flash_mla_const_tensor flash_mla_kv_cache_page_table(const flash_mla_kv_cache* cache) {
  return flash_mla_kv_cache_group_page_table(cache, 0);
}

flash_mla_const_tensor flash_mla_kv_cache_group_page_table(const flash_mla_kv_cache* cache, int64_t group) {
  return cache == nullptr ? flash_mla_const_tensor{} : flash_mla::c_api::to_c(cache->cache.page_table(group));
}

flash_mla_const_tensor flash_mla_kv_cache_seqlens(const flash_mla_kv_cache* cache) {
  return cache == nullptr ? flash_mla_const_tensor{} : flash_mla::c_api::to_c(cache->cache.seqlens());
}

flash_mla_status flash_mla_kv_cache_slot_mapping(const flash_mla_kv_cache* cache, int64_t sequence, int64_t group,
                                                 int64_t first, size_t num_tokens, int64_t* slots) {
  if (cache == nullptr) return report_null(kNoCache);
  if (slots == nullptr && num_tokens != 0) return report_null("slots is null but num_tokens is not 0");
  return guard([&] { return cache->cache.slot_mapping(sequence, group, first, {slots, num_tokens}); });
}

size_t flash_mla_kv_cache_take_events(flash_mla_kv_cache* cache, flash_mla_kv_cache_event* events, size_t max_events) {
  if (cache == nullptr || events == nullptr) return 0;
  size_t taken = 0;
  std::array<flash_mla::KvCacheEvent, 1> one;
  while (taken < max_events && cache->cache.take_events(one) == 1) {
    const flash_mla::KvCacheEvent& event = one[0];
    events[taken++] = {static_cast<int32_t>(event.kind),
                       event.group,
                       event.page,
                       event.num_tokens,
                       {event.hash.low, event.hash.high},
                       {event.parent_hash.low, event.parent_hash.high}};
  }
  return taken;
}

flash_mla_status flash_mla_kv_cache_verify(flash_mla_kv_cache* cache) {
  if (cache == nullptr) return report_null(kNoCache);
  return guard([&] { return cache->cache.verify(); });
}

flash_mla_status flash_mla_copy_pages(const flash_mla_page_array* arrays, size_t num_arrays,
                                      const flash_mla_page_copy* copies, size_t num_copies) {
  if (arrays == nullptr && num_arrays > 0) return report_null("arrays is null but num_arrays is not 0");
  if (copies == nullptr && num_copies > 0) return report_null("copies is null but num_copies is not 0");
  return guard([&]() -> Status {
    const auto made = arrays_of(arrays, num_arrays);
    if (!made.ok()) return made.status();
    std::vector<flash_mla::PageCopy> list;
    for (size_t i = 0; i < num_copies; ++i) {
      list.push_back({copies[i].group, copies[i].from, copies[i].to, copies[i].tokens});
    }
    return made.value().copy(list);
  });
}

flash_mla_status flash_mla_kv_cache_snapshot(const flash_mla_kv_cache* cache, const char* path,
                                             const flash_mla_page_array* arrays, size_t num_arrays) {
  if (cache == nullptr) return report_null(kNoCache);
  if (path == nullptr) return report_null("path is null");
  if (arrays == nullptr && num_arrays > 0) return report_null("arrays is null but num_arrays is not 0");
  return guard([&]() -> Status {
    const auto made = arrays_of(arrays, num_arrays);
    return made.ok() ? cache->cache.snapshot(path, made.value()) : made.status();
  });
}

flash_mla_status flash_mla_kv_cache_restore(const char* path, const flash_mla_page_array* arrays, size_t num_arrays,
                                            int64_t num_pages, flash_mla_kv_cache** cache) {
  if (cache == nullptr) return report_null("cache is null; expected a place for the cache");
  *cache = nullptr;
  if (path == nullptr) return report_null("path is null");
  if (arrays == nullptr && num_arrays > 0) return report_null("arrays is null but num_arrays is not 0");
  return guard([&]() -> Status {
    const auto made = arrays_of(arrays, num_arrays);
    if (!made.ok()) return made.status();
    auto restored = flash_mla::KvCache::restore(path, made.value(), num_pages);
    if (!restored.ok()) return restored.status();
    *cache = new flash_mla_kv_cache{std::move(restored).value()};
    return {};
  });
}
