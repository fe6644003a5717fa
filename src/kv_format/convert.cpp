// Rows to pages and back.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/check_tensor.h"
#include "core/element.h"
#include "core/error.h"
#include "flash_mla/kv_format.h"
#include "kv_format/e4m3.h"
#include "kv_format/scale.h"

namespace flash_mla {

namespace {

using core::load_element;

Status check_rows(const ConstTensor& rows, int64_t width) {
  FLASH_MLA_RETURN_IF_ERROR(core::check_array(rows, {"rows", "[tokens, latent + rope]", {core::kAny, width}}));
  if (!core::is_floating(rows.dtype)) {
    return core::invalid("rows has dtype {}; expected float32, bfloat16 or float16", name_of(rows.dtype));
  }
  return {};
}

Status check_page(const void* page, size_t bytes, int64_t first_token, int64_t tokens, const KvFormat& format) {
  if (page == nullptr) return core::invalid("page is null; expected {} bytes", format.page_bytes());
  if (bytes != static_cast<size_t>(format.page_bytes())) {
    return core::invalid("page has {} bytes; expected {}", bytes, format.page_bytes());
  }
  const int64_t page_size = format.spec().page_size;
  if (first_token < 0 || first_token > page_size) {
    return core::invalid("first_token is {}; expected 0 to {}", first_token, page_size);
  }
  if (tokens > page_size - first_token) {
    return core::invalid("rows holds {} tokens; expected at most {}, from first_token = {} to the end of a page of {}",
                         tokens, page_size - first_token, first_token, page_size);
  }
  return {};
}

template <class Value>
void put(std::byte* at, Value value) {
  std::memcpy(at, &value, sizeof(value));
}

template <class Value>
Value get(const std::byte* at) {
  Value value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

/// A row of any of the types, as floats.
struct Row {
  const ConstTensor& rows;
  int64_t token;
  float operator[](int64_t column) const {
    return load_element(rows.data, rows.dtype, token * rows.strides[0] + column * rows.strides[1]);
  }
};

uint16_t to_half(float value, KvFormatKind kind) {
  return kind == KvFormatKind::float16 ? core::float_to_float16(value) : core::float_to_bfloat16(value);
}

float from_half(uint16_t bits, KvFormatKind kind) {
  return kind == KvFormatKind::float16 ? core::float16_to_float(bits) : core::bfloat16_to_float(bits);
}

/// Quantises columns begin to end - 1 and returns their scale.
float quantise_group(const Row& row, int64_t begin, int64_t end, KvFormatKind kind, std::byte* token) {
  float largest = 0;
  bool finite = true;
  for (int64_t column = begin; column < end; ++column) {
    const float magnitude = std::abs(row[column]);
    if (std::isfinite(magnitude)) {
      largest = std::max(largest, magnitude);
    } else {
      finite = false;
    }
  }
  if (kind == KvFormatKind::fp8_scaled) {
    const float scale = kv_format::power_of_two_scale(largest);
    const float inverse = 1 / scale;  // exact
    for (int64_t column = begin; column < end; ++column) {
      const float value = row[column];
      const float clamped = std::clamp(value, -kv_format::kLargestScaled, kv_format::kLargestScaled);
      put(token + column, kv_format::float_to_e4m3((std::isfinite(value) ? clamped : value) * inverse));
    }
    return scale;
  }
  const float scale = kv_format::int8_scale(largest);
  for (int64_t column = begin; column < end; ++column) {
    const bool zero = !finite || scale == 0;
    const float steps = zero ? 0 : std::nearbyint(row[column] / scale);
    put(token + column, static_cast<int8_t>(std::clamp(steps, -kv_format::kInt8Largest, kv_format::kInt8Largest)));
  }
  return finite ? scale : std::numeric_limits<float>::quiet_NaN();
}

float element_at(const KvFormat& format, const std::byte* page, int64_t token, int64_t column) {
  const KvFormatSpec& spec = format.spec();
  const KvFormatLayout& layout = format.layout();
  const std::byte* row = page + token * layout.token_stride;
  const int64_t rope_column = column - spec.latent;
  switch (spec.kind) {
    case KvFormatKind::bfloat16:
    case KvFormatKind::float16:
      return from_half(get<uint16_t>(row + 2 * column), spec.kind);
    case KvFormatKind::fp8_flat:
      return kv_format::e4m3_to_float(get<uint8_t>(row + column)) * spec.scale;
    case KvFormatKind::fp8_scaled:
    case KvFormatKind::int8_scaled:
      break;
  }
  if (rope_column >= 0) return core::bfloat16_to_float(get<uint16_t>(row + layout.rope_offset + 2 * rope_column));
  const int64_t group = column / spec.group;
  const auto scale = get<float>(page + layout.scale_offset + token * layout.scale_stride +
                                group * static_cast<int64_t>(sizeof(float)));
  if (spec.kind == KvFormatKind::fp8_scaled) return kv_format::e4m3_to_float(get<uint8_t>(row + column)) * scale;
  return static_cast<float>(get<int8_t>(row + column)) * scale;
}

void quantise_row(const KvFormat& format, const Row& row, std::byte* page, int64_t token) {
  const KvFormatSpec& spec = format.spec();
  const KvFormatLayout& layout = format.layout();
  std::byte* at = page + token * layout.token_stride;
  if (spec.kind == KvFormatKind::bfloat16 || spec.kind == KvFormatKind::float16) {
    for (int64_t column = 0; column < format.width(); ++column) put(at + 2 * column, to_half(row[column], spec.kind));
    return;
  }
  if (spec.kind == KvFormatKind::fp8_flat) {
    // A quotient that overflows was finite: it saturates.
    for (int64_t column = 0; column < format.width(); ++column) {
      const float value = row[column];
      const float limit = kv_format::kE4m3Largest * spec.scale;
      const float quotient = std::isfinite(value) ? std::clamp(value, -limit, limit) / spec.scale : value;
      put(at + column, kv_format::float_to_e4m3(quotient));
    }
    return;
  }
  for (int64_t begin = 0, scale = 0; begin < spec.latent; begin += spec.group, ++scale) {
    const int64_t end = std::min(begin + spec.group, spec.latent);
    put(page + layout.scale_offset + token * layout.scale_stride + scale * static_cast<int64_t>(sizeof(float)),
        quantise_group(row, begin, end, spec.kind, at));
  }
  for (int64_t column = 0; column < spec.rope; ++column) {
    put(at + layout.rope_offset + 2 * column, core::float_to_bfloat16(row[spec.latent + column]));
  }
}

}  // namespace

Status KvFormat::quantise(const ConstTensor& rows, std::span<std::byte> page, int64_t first_token) const {
  FLASH_MLA_RETURN_IF_ERROR(check_rows(rows, width()));
  FLASH_MLA_RETURN_IF_ERROR(check_page(page.data(), page.size(), first_token, rows.shape[0], *this));
  for (int64_t token = 0; token < rows.shape[0]; ++token) {
    quantise_row(*this, Row{rows, token}, page.data(), first_token + token);
  }
  return {};
}

Status KvFormat::dequantise(std::span<const std::byte> page, int64_t first_token, const Tensor& rows) const {
  FLASH_MLA_RETURN_IF_ERROR(check_rows(rows, width()));
  FLASH_MLA_RETURN_IF_ERROR(core::check_no_overlap(rows, "rows"));
  FLASH_MLA_RETURN_IF_ERROR(check_page(page.data(), page.size(), first_token, rows.shape[0], *this));
  for (int64_t token = 0; token < rows.shape[0]; ++token) {
    for (int64_t column = 0; column < width(); ++column) {
      core::store_element(rows.data, rows.dtype, token * rows.strides[0] + column * rows.strides[1],
                          element_at(*this, page.data(), first_token + token, column));
    }
  }
  return {};
}

}  // namespace flash_mla
