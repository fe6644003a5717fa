#include "flash_mla/kv_format.h"

#include "c_api/guard.h"
#include "c_api/tensor.h"

using namespace flash_mla::c_api;  // NOLINT(google-build-using-namespace): this file is the namespace's C face

namespace {

using flash_mla::KvFormat;
using flash_mla::KvFormatKind;
using flash_mla::Result;

static_assert(static_cast<int>(KvFormatKind::bfloat16) == FLASH_MLA_KV_BFLOAT16);
static_assert(static_cast<int>(KvFormatKind::float16) == FLASH_MLA_KV_FLOAT16);
static_assert(static_cast<int>(KvFormatKind::fp8_flat) == FLASH_MLA_KV_FP8_FLAT);
static_assert(static_cast<int>(KvFormatKind::fp8_scaled) == FLASH_MLA_KV_FP8_SCALED);
static_assert(static_cast<int>(KvFormatKind::int8_scaled) == FLASH_MLA_KV_INT8_SCALED);

Result<KvFormat> format_of(const flash_mla_kv_format* format) {
  return KvFormat::make({static_cast<KvFormatKind>(format->kind), format->latent, format->rope, format->group,
                         format->page_size, format->scale});
}

}  // namespace

flash_mla_status flash_mla_kv_format_describe(const flash_mla_kv_format* format, flash_mla_kv_format_layout* layout) {
  if (format == nullptr) return report_null("format is null");
  if (layout == nullptr) return report_null("layout is null; expected a place for the layout");
  return guard([&]() -> flash_mla::Status {
    const Result<KvFormat> made = format_of(format);
    if (!made.ok()) return made.status();
    const flash_mla::KvFormatLayout& from = made.value().layout();
    *layout = {from.token_bytes, from.page_bytes,   from.token_stride, from.rope_offset,
               from.num_scales,  from.scale_offset, from.scale_stride};
    return {};
  });
}

flash_mla_status flash_mla_kv_format_quantise(const flash_mla_kv_format* format, const flash_mla_const_tensor* rows,
                                              void* page, size_t page_bytes, int64_t first_token) {
  if (format == nullptr) return report_null("format is null");
  if (rows == nullptr) return report_null("rows is null");
  return guard([&]() -> flash_mla::Status {
    const Result<KvFormat> made = format_of(format);
    if (!made.ok()) return made.status();
    return made.value().quantise(to_cpp(*rows), {static_cast<std::byte*>(page), page_bytes}, first_token);
  });
}

flash_mla_status flash_mla_kv_format_dequantise(const flash_mla_kv_format* format, const void* page, size_t page_bytes,
                                                int64_t first_token, const flash_mla_tensor* rows) {
  if (format == nullptr) return report_null("format is null");
  if (rows == nullptr) return report_null("rows is null");
  return guard([&]() -> flash_mla::Status {
    const Result<KvFormat> made = format_of(format);
    if (!made.ok()) return made.status();
    return made.value().dequantise({static_cast<const std::byte*>(page), page_bytes}, first_token, to_cpp(*rows));
  });
}

flash_mla_status flash_mla_kv_format_error_bound(const flash_mla_kv_format* format, int64_t column, double value,
                                                 double largest, double* bound) {
  if (format == nullptr) return report_null("format is null");
  if (bound == nullptr) return report_null("bound is null; expected a place for the bound");
  return guard([&]() -> flash_mla::Status {
    const Result<KvFormat> made = format_of(format);
    if (made.ok()) *bound = made.value().error_bound(column, value, largest);
    return made.status();
  });
}
