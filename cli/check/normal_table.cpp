#include "check/normal_table.h"

#include <cmath>
#include <cstring>
#include <numbers>

#include "common/bfloat16.h"

namespace flash_mla::cli {
namespace {

constexpr int64_t kStarts = int64_t{1} << 20;
constexpr int64_t kLongestRow = 1024;

/// To nearest, ties to even; overflow becomes infinity.
uint16_t to_float16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7e00u;
  if (magnitude >= 65520.0F) return sign | 0x7c00u;
  if (magnitude < 0x1p-14F) return sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24F));
  const uint32_t rebiased = (bits & 0x7fffffffu) - (112u << 23);
  return sign | static_cast<uint16_t>((rebiased + 0xfffu + ((rebiased >> 13) & 1u)) >> 13);
}

float from_float16(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const auto fraction = static_cast<float>(bits & 0x3ffu);
  float magnitude = std::ldexp(fraction + (exponent > 0 ? 1024.0F : 0.0F), (exponent > 0 ? exponent : 1) - 25);
  if (exponent == 31) magnitude = fraction != 0 ? NAN : INFINITY;
  return (bits & 0x8000u) != 0 ? -magnitude : magnitude;
}

double unit_interval(uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
}

}  // namespace

void store(DType dtype, void* data, int64_t index, double value) {
  const auto single = static_cast<float>(value);
  if (dtype == DType::bfloat16) static_cast<uint16_t*>(data)[index] = to_bfloat16(single);
  if (dtype == DType::float16) static_cast<uint16_t*>(data)[index] = to_float16(single);
  if (dtype == DType::float32) static_cast<float*>(data)[index] = single;
}

double load(DType dtype, const void* data, int64_t index) {
  if (dtype == DType::bfloat16) return from_bfloat16(static_cast<const uint16_t*>(data)[index]);
  if (dtype == DType::float16) return from_float16(static_cast<const uint16_t*>(data)[index]);
  return static_cast<const float*>(data)[index];
}

NormalTable::NormalTable(DType dtype, double deviation, uint64_t seed) : element_(size_of(dtype)) {
  const int64_t count = kStarts + kLongestRow;
  values_.resize(static_cast<size_t>(count) * element_);
#pragma omp parallel for
  for (int64_t i = 0; i < count; i += 2) {
    // Box and Muller, 1958.
    const double radius = deviation * std::sqrt(-2 * std::log(unit_interval(mix(seed, static_cast<uint64_t>(i)))));
    const double angle = 2 * std::numbers::pi * unit_interval(mix(seed, static_cast<uint64_t>(i) + 1));
    store(dtype, values_.data(), i, radius * std::cos(angle));
    store(dtype, values_.data(), i + 1, radius * std::sin(angle));
  }
}

void NormalTable::copy_row(uint64_t row, int64_t count, std::byte* to) const {
  const size_t start = mix(row) % kStarts;
  std::memcpy(to, values_.data() + start * element_, static_cast<size_t>(count) * element_);
}

}  // namespace flash_mla::cli
