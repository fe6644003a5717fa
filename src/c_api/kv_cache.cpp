#include "flash_mla/kv_cache.h"

#include <utility>

#include "c_api/guard.h"
#include "c_api/tensor.h"

struct flash_mla_kv_cache {
  flash_mla::KvCache cache;
};

using namespace flash_mla::c_api;  // NOLINT(google-build-using-namespace): this file is the namespace's C face

flash_mla_status flash_mla_kv_cache_create(const flash_mla_kv_cache_geometry* geometry, flash_mla_kv_cache** cache) {
  if (cache == nullptr) return report_null("cache is null; expected a place for the cache");
  *cache = nullptr;
  if (geometry == nullptr) return report_null("geometry is null");
  return guard([&]() -> flash_mla::Status {
    auto made = flash_mla::KvCache::make(
        {geometry->num_pages, geometry->page_size, geometry->max_sequences, geometry->max_tokens});
    if (made.ok()) *cache = new flash_mla_kv_cache{std::move(made).value()};
    return made.status();
  });
}

void flash_mla_kv_cache_destroy(flash_mla_kv_cache* cache) {
  delete cache;
}

flash_mla_status flash_mla_kv_cache_add_sequence(flash_mla_kv_cache* cache, int64_t* sequence) {
  if (cache == nullptr) return report_null("cache is null");
  if (sequence == nullptr) return report_null("sequence is null; expected a place for its index");
  return guard([&]() -> flash_mla::Status {
    const auto added = cache->cache.add_sequence();
    if (added.ok()) *sequence = added.value();
    return added.status();
  });
}

flash_mla_status flash_mla_kv_cache_append_tokens(flash_mla_kv_cache* cache, int64_t sequence, size_t num_tokens,
                                                  int64_t* slots) {
  if (cache == nullptr) return report_null("cache is null");
  if (slots == nullptr && num_tokens != 0) return report_null("slots is null but num_tokens is not 0");
  return guard([&] { return cache->cache.append_tokens(sequence, {slots, num_tokens}); });
}

flash_mla_status flash_mla_kv_cache_remove_sequence(flash_mla_kv_cache* cache, int64_t sequence) {
  if (cache == nullptr) return report_null("cache is null");
  return guard([&] { return cache->cache.remove_sequence(sequence); });
}

int64_t flash_mla_kv_cache_pages_needed(const flash_mla_kv_cache* cache, int64_t sequence, int64_t num_tokens) {
  return cache == nullptr ? -1 : cache->cache.pages_needed(sequence, num_tokens);
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

flash_mla_const_tensor flash_mla_kv_cache_page_table(const flash_mla_kv_cache* cache) {
  return cache == nullptr ? flash_mla_const_tensor{} : to_c(cache->cache.page_table());
}

flash_mla_const_tensor flash_mla_kv_cache_seqlens(const flash_mla_kv_cache* cache) {
  return cache == nullptr ? flash_mla_const_tensor{} : to_c(cache->cache.seqlens());
}
