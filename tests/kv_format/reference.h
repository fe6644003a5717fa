// Quantisation as the formats define it, in float64 and by search: what the library is compared with.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "e4m3_values.h"
#include "flash_mla/kv_format.h"

namespace flash_mla {

/// The e4m3 value nearest to `value`, of two the one with the even code; beyond the largest, the largest; NaN for NaN
/// and infinity.
inline double nearest_e4m3(double value) {
  if (!std::isfinite(value)) return std::nan("");
  int best = 0;
  for (int code = 1; code < 127; ++code) {
    const double error = std::abs(kE4m3Values[code] - std::abs(value));
    const double best_error = std::abs(kE4m3Values[best] - std::abs(value));
    if (error < best_error || (error == best_error && code % 2 == 0)) best = code;
  }
  return std::copysign(kE4m3Values[best], value);
}

/// The smallest power of two s with max(largest, 1e-4) <= 448 s, by search.
inline double reference_scale(double largest) {
  double scale = 0x1p-200;
  while (std::fmax(largest, static_cast<double>(1e-4f)) > 448 * scale) scale *= 2;
  return scale;
}

/// A page and the format that it has.
struct Page {
  explicit Page(const KvFormatSpec& spec)
      : format(KvFormat::make(spec).value()), bytes(static_cast<size_t>(format.page_bytes()), std::byte{0xee}) {}

  /// Puts rows at first_token, and gives back what the page then holds there.
  std::vector<float> round_trip(std::vector<float> rows, int64_t first_token = 0) {
    const int64_t tokens = static_cast<int64_t>(rows.size()) / format.width();
    const Status stored = format.quantise({rows.data(), DType::float32, {tokens, format.width()}}, bytes, first_token);
    if (!stored.ok()) return {};
    return load(first_token, tokens);
  }

  [[nodiscard]] std::vector<float> load(int64_t first_token, int64_t tokens) const {
    std::vector<float> rows(static_cast<size_t>(tokens * format.width()), -77.0f);
    const Status loaded =
        format.dequantise(bytes, first_token, {rows.data(), DType::float32, {tokens, format.width()}});
    return loaded.ok() ? rows : std::vector<float>{};
  }

  template <class Value>
  [[nodiscard]] Value at(int64_t offset) const {
    Value value;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
  }

  KvFormat format;
  std::vector<std::byte> bytes;
};

inline constexpr KvFormatKind kAllKinds[] = {KvFormatKind::bfloat16, KvFormatKind::float16, KvFormatKind::fp8_flat,
                                             KvFormatKind::fp8_scaled, KvFormatKind::int8_scaled};

}  // namespace flash_mla
