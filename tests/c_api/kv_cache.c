/* The page bookkeeping through its handle. */
#include "check.h"

int main(void) {
  const flash_mla_kv_cache_geometry geometry = {3, 2, 2, 6}; /* 3 pages of 2 tokens, 2 sequences of up to 6 tokens */
  flash_mla_kv_cache_geometry impossible = geometry;
  flash_mla_kv_cache* cache;
  flash_mla_const_tensor table, lengths;
  int64_t first = -1, second = -1, third = -1, slots[4];
  CHECK_OK(flash_mla_kv_cache_create(&geometry, &cache));
  if (cache == NULL) return check_failures();
  CHECK_OK(flash_mla_kv_cache_add_sequence(cache, &first));
  CHECK_OK(flash_mla_kv_cache_add_sequence(cache, &second));
  CHECK(first >= 0 && first < 2 && second >= 0 && second < 2 && first != second);
  CHECK_REFUSED(flash_mla_kv_cache_add_sequence(cache, &third), FLASH_MLA_OUT_OF_PAGES, "");
  CHECK_EQUAL(third, -1);

  CHECK_EQUAL(flash_mla_kv_cache_pages_needed(cache, first, 3), 2);
  CHECK_EQUAL(flash_mla_kv_cache_pages_needed(cache, 17, 3), -1);
  CHECK_OK(flash_mla_kv_cache_append_tokens(cache, first, 3, slots));
  CHECK_EQUAL(slots[1], slots[0] + 1);
  CHECK_EQUAL(flash_mla_kv_cache_num_used_pages(cache), 2);
  CHECK_EQUAL(flash_mla_kv_cache_num_free_pages(cache), 1);
  CHECK_EQUAL(flash_mla_kv_cache_num_tokens(cache), 3);

  table = flash_mla_kv_cache_page_table(cache);
  lengths = flash_mla_kv_cache_seqlens(cache);
  CHECK(table.rank == 2 && table.shape[0] == 2 && table.shape[1] == 3 && table.dtype == FLASH_MLA_INT32);
  CHECK(lengths.rank == 1 && lengths.shape[0] == 2 && lengths.dtype == FLASH_MLA_INT32);
  CHECK_EQUAL(((const int32_t*)lengths.data)[first], 3);
  CHECK_EQUAL(((const int32_t*)lengths.data)[second], 0);
  CHECK_EQUAL(((const int32_t*)table.data)[first * table.strides[0]], slots[0] / 2);
  CHECK_EQUAL(((const int32_t*)table.data)[first * table.strides[0] + 1], slots[2] / 2);

  CHECK_REFUSED(flash_mla_kv_cache_append_tokens(cache, second, 4, slots), FLASH_MLA_OUT_OF_PAGES, "");
  CHECK_REFUSED(flash_mla_kv_cache_append_tokens(cache, first, 4, slots), FLASH_MLA_INVALID_ARGUMENT, "6");
  CHECK_REFUSED(flash_mla_kv_cache_append_tokens(cache, 17, 1, slots), FLASH_MLA_NOT_FOUND, "17");
  CHECK_EQUAL(flash_mla_kv_cache_num_tokens(cache), 3);

  CHECK_OK(flash_mla_kv_cache_remove_sequence(cache, first));
  CHECK_REFUSED(flash_mla_kv_cache_remove_sequence(cache, first), FLASH_MLA_NOT_FOUND, "");
  CHECK_EQUAL(flash_mla_kv_cache_num_free_pages(cache), 3);
  flash_mla_kv_cache_destroy(cache);

  impossible.page_size = 0;
  CHECK_REFUSED(flash_mla_kv_cache_create(&impossible, &cache), FLASH_MLA_INVALID_ARGUMENT, "page_size");
  CHECK(cache == NULL);
  return check_failures();
}
