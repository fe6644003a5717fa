/* Prefixes, forks, swapping and snapshots of the page bookkeeping, from C. */
#include <stdio.h>
#include <string.h>

#include "check.h"

enum { PAGE = 4, PAGES = 12, TOKEN = 3 };

static flash_mla_kv_cache* make(void) {
  const flash_mla_kv_cache_geometry geometry = {PAGES, PAGE, 4, 40};
  const int64_t tier_pages[1] = {8};
  const uint64_t key[2] = {1, 2};
  flash_mla_kv_cache_options options;
  flash_mla_kv_cache* cache;
  memset(&options, 0, sizeof options);
  options.prefix_caching = 1;
  options.max_events = 8;
  options.tier_pages = tier_pages;
  options.num_tiers = 1;
  options.hash_key = key;
  CHECK_OK(flash_mla_kv_cache_create_with(&geometry, &options, &cache));
  return cache;
}

int main(void) {
  int32_t prompt[10], pages[10];
  int64_t first = -1, second = -1, child = -1, hit = -1, slots[10];
  size_t count = 99, i;
  unsigned char bytes[PAGES * PAGE * TOKEN], other[PAGES * PAGE * TOKEN];
  flash_mla_sequence_spec spec;
  flash_mla_admission admission;
  flash_mla_page_copy copies[FLASH_MLA_MAX_PAGE_COPIES];
  flash_mla_page_transfer transfers[8];
  flash_mla_kv_cache_event events[8];
  flash_mla_page_array array, other_array;
  flash_mla_kv_cache *cache = make(), *restored;
  const char* path = "kv_cache_sharing.snapshot";
  if (cache == NULL) return check_failures();
  for (i = 0; i < 10; ++i) prompt[i] = (int32_t)i;
  for (i = 0; i < sizeof bytes; ++i) bytes[i] = (unsigned char)i;
  memset(&spec, 0, sizeof spec);
  spec.prompt = prompt;
  spec.prompt_size = 10;

  CHECK_OK(flash_mla_kv_cache_start_sequence(cache, &spec, &first, &hit));
  CHECK_EQUAL(hit, 0);
  CHECK_OK(flash_mla_kv_cache_grow(cache, first, 10, prompt, NULL, 0, slots, copies, &count));
  CHECK_EQUAL(count, 0);
  CHECK_OK(flash_mla_kv_cache_mark_computed(cache, first, 10));
  CHECK_EQUAL(flash_mla_kv_cache_num_computed_tokens(cache, first), 10);
  CHECK_EQUAL(flash_mla_kv_cache_take_events(cache, events, 8), 2);
  CHECK_EQUAL(events[0].kind, FLASH_MLA_EVENT_STORED);
  CHECK(events[1].parent_hash[0] == events[0].hash[0] && events[1].parent_hash[1] == events[0].hash[1]);
  CHECK_OK(flash_mla_kv_cache_find_prefix(cache, &spec, &hit));
  CHECK_EQUAL(hit, 8);
  CHECK_OK(flash_mla_kv_cache_can_admit(cache, &spec, &admission));
  CHECK(admission.fits == 1 && admission.num_computed_tokens == 8 && admission.pages_needed == 1);
  CHECK_OK(flash_mla_kv_cache_start_sequence(cache, &spec, &second, &hit));
  CHECK_EQUAL(hit, 8);
  CHECK_EQUAL(flash_mla_kv_cache_read_row(cache, flash_mla_kv_cache_row_of(cache, second), 0, pages, 10), 8);
  CHECK_EQUAL(pages[0], slots[0] / PAGE);

  CHECK_OK(flash_mla_kv_cache_fork(cache, first, &child));
  CHECK_REFUSED(flash_mla_kv_cache_append_tokens(cache, child, 1, slots), FLASH_MLA_INVALID_ARGUMENT, "grow()");
  CHECK_OK(flash_mla_kv_cache_grow(cache, child, 1, NULL, NULL, 0, slots, copies, &count));
  CHECK_EQUAL(count, 1);
  CHECK_EQUAL(copies[0].tokens, 2);
  memset(&array, 0, sizeof array);
  array.data = bytes;
  array.num_pages = PAGES;
  array.page_bytes = PAGE * TOKEN;
  array.token_bytes = TOKEN;
  CHECK_OK(flash_mla_copy_pages(&array, 1, copies, count));
  CHECK(memcmp(bytes + copies[0].to * PAGE * TOKEN, bytes + copies[0].from * PAGE * TOKEN, 2 * TOKEN) == 0);
  CHECK_OK(flash_mla_kv_cache_rewind(cache, child, 3));
  CHECK_EQUAL(flash_mla_kv_cache_length(cache, child), 3);
  CHECK_OK(flash_mla_kv_cache_freeze(cache, child));
  CHECK_REFUSED(flash_mla_kv_cache_rewind(cache, child, 1), FLASH_MLA_INVALID_ARGUMENT, "frozen");
  CHECK_OK(flash_mla_kv_cache_remove_sequence(cache, child));

  CHECK_EQUAL(flash_mla_kv_cache_can_allocate(cache, first, 30), 1);
  CHECK_OK(flash_mla_kv_cache_reserve(cache, first, 40));
  CHECK_EQUAL(flash_mla_kv_cache_get_statistics(cache).reserved_pages, 7);
  CHECK_REFUSED(flash_mla_kv_cache_reserve(cache, second, 40), FLASH_MLA_OUT_OF_PAGES, "");
  CHECK_EQUAL(flash_mla_kv_cache_shortage(cache).needed, 8);
  CHECK_OK(flash_mla_kv_cache_reserve(cache, first, 0));
  CHECK_OK(flash_mla_kv_cache_pin_prefix(cache, &spec, &hit));
  CHECK_OK(flash_mla_kv_cache_unpin_prefix(cache, &spec, hit));
  CHECK_REFUSED(flash_mla_kv_cache_unpin_prefix(cache, &spec, hit), FLASH_MLA_INVALID_ARGUMENT, "pinned");
  CHECK_REFUSED(flash_mla_kv_cache_reset_prefix_cache(cache), FLASH_MLA_INVALID_ARGUMENT, "in use");

  CHECK_OK(flash_mla_kv_cache_swap_out(cache, first, 0, transfers, 8, &count));
  CHECK_EQUAL(count, 1); /* the others are shared */
  CHECK_EQUAL(flash_mla_kv_cache_is_resident(cache, first), 0);
  CHECK_OK(flash_mla_kv_cache_complete_transfer(cache, transfers));
  CHECK_REFUSED(flash_mla_kv_cache_complete_transfer(cache, transfers), FLASH_MLA_NOT_FOUND, "completed");
  CHECK_OK(flash_mla_kv_cache_swap_in(cache, first, transfers, 8, &count));
  CHECK_OK(flash_mla_kv_cache_complete_transfer(cache, transfers));
  CHECK_EQUAL(flash_mla_kv_cache_is_resident(cache, first), 1);
  CHECK_OK(flash_mla_kv_cache_slot_mapping(cache, first, 0, 8, 2, slots));
  CHECK_EQUAL(slots[0], transfers[0].page * PAGE);
  CHECK_OK(flash_mla_kv_cache_verify(cache));

  CHECK_OK(flash_mla_kv_cache_snapshot(cache, path, &array, 1));
  memset(other, 0, sizeof other);
  other_array = array;
  other_array.data = other;
  CHECK_OK(flash_mla_kv_cache_restore(path, &other_array, 1, 0, &restored));
  if (restored != NULL) {
    CHECK_OK(flash_mla_kv_cache_slot_mapping(restored, first, 0, 0, 10, slots));
    CHECK_OK(flash_mla_kv_cache_verify(restored));
    CHECK_EQUAL(flash_mla_kv_cache_get_statistics(restored).tokens, 18);
  }
  flash_mla_kv_cache_destroy(restored);
  CHECK_REFUSED(flash_mla_kv_cache_restore(path, NULL, 0, 0, &restored), FLASH_MLA_INVALID_ARGUMENT, "bytes");
  CHECK(restored == NULL);
  CHECK(remove(path) == 0);

  spec.prompt = NULL;
  CHECK_REFUSED(flash_mla_kv_cache_find_prefix(cache, &spec, &hit), FLASH_MLA_INVALID_ARGUMENT, "spec.prompt");
  CHECK_REFUSED(flash_mla_kv_cache_find_prefix(cache, NULL, &hit), FLASH_MLA_INVALID_ARGUMENT, "spec is null");
  CHECK_REFUSED(flash_mla_kv_cache_verify(NULL), FLASH_MLA_INVALID_ARGUMENT, "cache is null");
  CHECK_EQUAL(flash_mla_kv_cache_get_statistics(NULL).num_pages, 0);
  flash_mla_kv_cache_destroy(cache);
  return check_failures();
}
