#include "support/element.h"

#include <bit>
#include <cmath>

namespace flash_mla::test {
namespace {

struct Format {
  int exponent_bits, fraction_bits;
  [[nodiscard]] int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};
constexpr Format kBfloat16{8, 7}, kFloat16{5, 10};

uint16_t encode(Format format, double value) {
  const int sign = std::signbit(value) ? 0x8000 : 0;
  const int infinity = ((1 << format.exponent_bits) - 1) << format.fraction_bits;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | infinity | 1 << (format.fraction_bits - 1));
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return static_cast<uint16_t>(sign);
  const int exponent = std::isinf(value) ? format.bias() + 1 : std::max(std::ilogb(magnitude), 1 - format.bias());
  if (exponent > format.bias()) return static_cast<uint16_t>(sign | infinity);
  // A subnormal's fraction lacks the leading one, which is what the exponent field adds; a carry out of the fraction
  // steps the exponent, up to infinity.
  const double fraction = std::nearbyint(std::ldexp(magnitude, format.fraction_bits - exponent));
  const int below = (exponent + format.bias() - 1) << format.fraction_bits;
  return static_cast<uint16_t>(sign | (below + static_cast<int>(fraction)));
}

double decode(Format format, uint16_t bits) {
  const int field = (bits & 0x7fff) >> format.fraction_bits;
  const int fraction = bits & ((1 << format.fraction_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (field == (1 << format.exponent_bits) - 1) return fraction != 0 ? std::nan("") : sign * HUGE_VAL;
  const int leading = field != 0 ? 1 << format.fraction_bits : 0;
  return sign * std::ldexp(fraction + leading, std::max(field, 1) - format.bias() - format.fraction_bits);
}

}  // namespace

void store(DType dtype, void* data, int64_t index, double value) {
  switch (dtype) {
    case DType::float32:
      static_cast<float*>(data)[index] = static_cast<float>(value);
      break;
    case DType::bfloat16:
      static_cast<uint16_t*>(data)[index] = encode(kBfloat16, value);
      break;
    case DType::float16:
      static_cast<uint16_t*>(data)[index] = encode(kFloat16, value);
      break;
    case DType::int32:
      static_cast<int32_t*>(data)[index] = static_cast<int32_t>(value);
      break;
    case DType::int64:
      static_cast<int64_t*>(data)[index] = static_cast<int64_t>(value);
      break;
  }
}

double load(DType dtype, const void* data, int64_t index) {
  switch (dtype) {
    case DType::float32:
      return static_cast<const float*>(data)[index];
    case DType::bfloat16:
      return decode(kBfloat16, static_cast<const uint16_t*>(data)[index]);
    case DType::float16:
      return decode(kFloat16, static_cast<const uint16_t*>(data)[index]);
    case DType::int32:
      return static_cast<const int32_t*>(data)[index];
    case DType::int64:
      return static_cast<double>(static_cast<const int64_t*>(data)[index]);
  }
  return 0;
}

}  // namespace flash_mla::test
