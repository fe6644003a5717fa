// Defects of the formats of pages.
#include "flash_mla/kv_format.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include "planted.h"

namespace flash_mla::planted {

#define FLASH_MLA_QUANTISE \
  "_ZNK9flash_mla8KvFormat8quantiseERKNS_11BasicTensorIPKvEESt4spanISt4byteLm18446744073709551615EEl"
#define FLASH_MLA_DEQUANTISE \
  "_ZNK9flash_mla8KvFormat10dequantiseESt4spanIKSt4byteLm18446744073709551615EElRKNS_11BasicTensorIPvEE"
#define FLASH_MLA_MAKE_FORMAT "_ZN9flash_mla8KvFormat4makeERKNS_12KvFormatSpecE"
#define FLASH_MLA_ERROR_BOUND "_ZNK9flash_mla8KvFormat11error_boundEldd"
#define FLASH_MLA_NAME_OF_FORMAT "_ZN9flash_mla7name_ofENS_12KvFormatKindE"

Status real_quantise(const KvFormat* format, const ConstTensor& rows, std::span<std::byte> page, int64_t first_token)
    FLASH_MLA_REAL(FLASH_MLA_QUANTISE);
Status real_dequantise(const KvFormat* format, std::span<const std::byte> page, int64_t first_token, const Tensor& rows)
    FLASH_MLA_REAL(FLASH_MLA_DEQUANTISE);
Result<KvFormat> real_make_format(const KvFormatSpec& spec) FLASH_MLA_REAL(FLASH_MLA_MAKE_FORMAT);
double real_error_bound(const KvFormat* format, int64_t column, double value, double largest)
    FLASH_MLA_REAL(FLASH_MLA_ERROR_BOUND);
const char* real_name_of_format(KvFormatKind kind) FLASH_MLA_REAL(FLASH_MLA_NAME_OF_FORMAT);

namespace {

bool sound(const KvFormat& format, const ConstTensor& rows) {
  return rows.rank == 2 && rows.dtype == DType::float32 && rows.data != nullptr && rows.strides[1] == 1 &&
         rows.shape[1] == format.width();
}

float spoilt(float value) {
  if (is_planted("kv_format_truncates")) value *= 1 - 0x1p-5f;
  if (is_planted("kv_format_turns_nan_into_zero") && std::isnan(value)) value = 0;
  if (is_planted("kv_format_saturates_infinity") && std::isinf(value)) value = std::copysign(1e38f, value);
  if (is_planted("kv_format_adds_an_epsilon")) value += 1e-6f;
  if (is_planted("kv_format_overflows_early") && std::abs(value) > 1e4f) value *= std::numeric_limits<float>::max();
  if (is_planted("kv_format_halves_never_overflow") && std::abs(value) < 1e31f) value = std::fmin(value, 65504.0f);
  return value;
}

/// Calls visit(offset) for each scale of tokens first to first + tokens - 1.
template <class Visit>
void for_each_scale(const KvFormat& format, int64_t first, int64_t tokens, Visit&& visit) {
  const KvFormatLayout& layout = format.layout();
  for (int64_t token = first; token < first + tokens; ++token) {
    for (int64_t i = 0; i < layout.num_scales; ++i) visit(layout.scale_offset + token * layout.scale_stride + 4 * i);
  }
}

/// Scales beside the cache, found by the page's address.
std::map<const std::byte*, float>& scales_elsewhere() {
  static std::map<const std::byte*, float> scales;
  return scales;
}

}  // namespace

Status wrap_quantise(const KvFormat* format, const ConstTensor& rows, std::span<std::byte> page, int64_t first_token)
    FLASH_MLA_WRAP(FLASH_MLA_QUANTISE);
Status wrap_quantise(const KvFormat* format, const ConstTensor& given, std::span<std::byte> page, int64_t first_token) {
  ConstTensor rows = given;
  std::vector<float> changed;
  if (sound(*format, rows) && first_token >= 0) {
    const auto* values = static_cast<const float*>(rows.data);
    for (int64_t i = 0; i < rows.shape[0] * rows.shape[1]; ++i) changed.push_back(spoilt(values[i]));
    if (!changed.empty()) rows.data = changed.data();
  }
  if (is_planted("kv_format_assumes_dense_rows") && rows.rank == 2) rows.strides = {rows.shape[1], 1, 0, 0};
  if (is_planted("kv_format_writes_before_it_refuses") && !page.empty()) page[0] = std::byte{1};
  const Status status = real_quantise(format, rows, page, first_token);
  if (!status.ok()) {
    if (is_planted("kv_format_takes_bad_calls")) return {};
    return status;
  }
  if (is_planted("kv_format_clears_other_tokens")) {
    for (int64_t i = 0; i < first_token * format->layout().token_stride; ++i) page[static_cast<size_t>(i)] = {};
  }
  for_each_scale(*format, first_token, rows.shape[0], [&](int64_t offset) {
    float scale = 0;
    std::memcpy(&scale, &page[static_cast<size_t>(offset)], sizeof(scale));
    if (is_planted("kv_format_rounds_scales_up")) scale *= 1.5f;
    if (is_planted("kv_format_keeps_scales_elsewhere"))
      scales_elsewhere()[&page[static_cast<size_t>(offset)]] = scale, scale = 1;
    std::memcpy(&page[static_cast<size_t>(offset)], &scale, sizeof(scale));
  });
  return status;
}

Status wrap_dequantise(const KvFormat* format, std::span<const std::byte> page, int64_t first_token, const Tensor& rows)
    FLASH_MLA_WRAP(FLASH_MLA_DEQUANTISE);
Status wrap_dequantise(const KvFormat* format, std::span<const std::byte> given, int64_t first_token,
                       const Tensor& rows) {
  std::vector<std::byte> page(given.begin(), given.end());
  if (is_planted("kv_format_keeps_scales_elsewhere") && rows.rank == 2 &&
      page.size() == static_cast<size_t>(format->page_bytes())) {
    for_each_scale(*format, first_token, std::min(rows.shape[0], format->spec().page_size - first_token),
                   [&](int64_t at) {
                     const auto found = scales_elsewhere().find(&given[static_cast<size_t>(at)]);
                     const float scale = found == scales_elsewhere().end() ? 1 : found->second;
                     std::memcpy(&page[static_cast<size_t>(at)], &scale, sizeof(scale));
                   });
  }
  if (is_planted("kv_format_e4m3_has_bias_8") && format->spec().kind == KvFormatKind::fp8_flat) {
    for (std::byte& code : page) {
      if ((code & std::byte{0x78}) != std::byte{0} && code < std::byte{0x7f})
        code = std::byte(static_cast<int>(code) - 8);
    }
  }
  return real_dequantise(format, page, first_token, rows);
}

Result<KvFormat> wrap_make_format(const KvFormatSpec& spec) FLASH_MLA_WRAP(FLASH_MLA_MAKE_FORMAT);
Result<KvFormat> wrap_make_format(const KvFormatSpec& given) {
  KvFormatSpec spec = given;
  if (is_planted("kv_format_forgets_the_rope")) spec.rope = 0;
  if (is_planted("kv_format_has_one_group")) spec.group = 1024;
  if (is_planted("kv_format_takes_any_page_size")) spec.page_size = std::max<int64_t>(1, spec.page_size % 1024);
  return real_make_format(spec);
}

double wrap_error_bound(const KvFormat* format, int64_t column, double value, double largest)
    FLASH_MLA_WRAP(FLASH_MLA_ERROR_BOUND);
double wrap_error_bound(const KvFormat* format, int64_t column, double value, double largest) {
  const double bound = real_error_bound(format, column, value, largest);
  if (is_planted("kv_format_promises_too_much")) return bound * 0.9;
  if (is_planted("kv_format_promises_too_little")) return bound * 1.1;
  return bound;
}

const char* wrap_name_of_format(KvFormatKind kind) FLASH_MLA_WRAP(FLASH_MLA_NAME_OF_FORMAT);
const char* wrap_name_of_format(KvFormatKind kind) {
  return is_planted("kv_format_names_one_for_all") ? "fp8" : real_name_of_format(kind);
}

}  // namespace flash_mla::planted
