/* Formats of pages from C. */
#include "check.h"

int main(void) {
  const flash_mla_kv_format scaled = {FLASH_MLA_KV_FP8_SCALED, 512, 64, 128, 64, 1.0f};
  const flash_mla_kv_format small = {FLASH_MLA_KV_INT8_SCALED, 2, 1, 2, 2, 1.0f};
  flash_mla_kv_format bad = small;
  flash_mla_kv_format_layout layout;
  const float rows[3] = {254.0f, -2.0f, 0.5f};
  float back[3] = {0, 0, 0};
  unsigned char page[16];
  const int64_t shape[2] = {1, 3};
  const flash_mla_const_tensor in = flash_mla_const_dense(rows, FLASH_MLA_FLOAT32, 2, shape);
  const flash_mla_tensor out = flash_mla_dense(back, FLASH_MLA_FLOAT32, 2, shape);
  double bound = 0;

  CHECK_OK(flash_mla_kv_format_describe(&scaled, &layout));
  CHECK_EQUAL(layout.token_bytes, 656);
  CHECK_EQUAL(layout.page_bytes, 41984);
  CHECK_EQUAL(layout.token_stride, 656);
  CHECK_EQUAL(layout.rope_offset, 528);
  CHECK_EQUAL(layout.num_scales, 4);
  CHECK_EQUAL(layout.scale_offset, 512);
  CHECK_EQUAL(layout.scale_stride, 656);

  CHECK_OK(flash_mla_kv_format_describe(&small, &layout));
  CHECK_EQUAL(layout.page_bytes, 16);
  CHECK_OK(flash_mla_kv_format_quantise(&small, &in, page, sizeof(page), 1));
  CHECK_EQUAL(page[4], 127);
  CHECK_EQUAL(page[5], 255); /* -1 step of 2 */
  CHECK_OK(flash_mla_kv_format_dequantise(&small, page, sizeof(page), 1, &out));
  CHECK_NEAR(back[0], 254, 0);
  CHECK_NEAR(back[1], -2, 0);
  CHECK_NEAR(back[2], 0.5, 0);
  CHECK_OK(flash_mla_kv_format_error_bound(&small, 0, 1.0, 254.0, &bound));
  CHECK_NEAR(bound, 1, 1e-4);

  bad.group = 0;
  CHECK_REFUSED(flash_mla_kv_format_describe(&bad, &layout), FLASH_MLA_INVALID_ARGUMENT, "group is 0");
  CHECK_REFUSED(flash_mla_kv_format_quantise(&bad, &in, page, sizeof(page), 1), FLASH_MLA_INVALID_ARGUMENT, "group");
  CHECK_REFUSED(flash_mla_kv_format_dequantise(&bad, page, sizeof(page), 1, &out), FLASH_MLA_INVALID_ARGUMENT, "group");
  CHECK_REFUSED(flash_mla_kv_format_error_bound(&bad, 0, 1, 1, &bound), FLASH_MLA_INVALID_ARGUMENT, "group");
  CHECK_REFUSED(flash_mla_kv_format_quantise(&small, &in, page, 15, 1), FLASH_MLA_INVALID_ARGUMENT, "15 bytes");
  CHECK_REFUSED(flash_mla_kv_format_quantise(&small, &in, page, sizeof(page), 2), FLASH_MLA_INVALID_ARGUMENT,
                "at most 0");
  CHECK_REFUSED(flash_mla_kv_format_dequantise(&small, NULL, 16, 0, &out), FLASH_MLA_INVALID_ARGUMENT, "page is null");
  CHECK_REFUSED(flash_mla_kv_format_describe(NULL, &layout), FLASH_MLA_INVALID_ARGUMENT, "format is null");
  CHECK_REFUSED(flash_mla_kv_format_describe(&small, NULL), FLASH_MLA_INVALID_ARGUMENT, "layout is null");
  CHECK_REFUSED(flash_mla_kv_format_quantise(NULL, &in, page, 16, 0), FLASH_MLA_INVALID_ARGUMENT, "format is null");
  CHECK_REFUSED(flash_mla_kv_format_quantise(&small, NULL, page, 16, 0), FLASH_MLA_INVALID_ARGUMENT, "rows is null");
  CHECK_REFUSED(flash_mla_kv_format_dequantise(NULL, page, 16, 0, &out), FLASH_MLA_INVALID_ARGUMENT, "format is null");
  CHECK_REFUSED(flash_mla_kv_format_dequantise(&small, page, 16, 0, NULL), FLASH_MLA_INVALID_ARGUMENT, "rows is null");
  CHECK_REFUSED(flash_mla_kv_format_error_bound(NULL, 0, 1, 1, &bound), FLASH_MLA_INVALID_ARGUMENT, "format is null");
  CHECK_REFUSED(flash_mla_kv_format_error_bound(&small, 0, 1, 1, NULL), FLASH_MLA_INVALID_ARGUMENT, "bound is null");
  return check_failures();
}
