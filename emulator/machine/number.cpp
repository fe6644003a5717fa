#include "machine/number.h"

#include <cmath>

namespace emulator::machine {
namespace {

double to_odd(double sum, double error) {
  if (error == 0 || !std::isfinite(sum)) return sum;
  const auto bits = std::bit_cast<uint64_t>(sum);
  if ((bits & 1) != 0) return sum;
  // The exact result lies between sum and its neighbour towards the error; of the two the odd one is the neighbour.
  return std::nextafter(sum, error > 0 ? HUGE_VAL : -HUGE_VAL);
}

}  // namespace

double add_to_odd(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return to_odd(sum, (a - (sum - b_part)) + (b - b_part));
}

double fma_to_odd(double a, double b, double c) {
  const double product = a * b;  // exact: factors have at most 24 bits
  return add_to_odd(product, c);
}

uint32_t encode(double value, const Format& format, Rounding rounding) {
  const int bits =
      format.mantissa + 1 + std::bit_width(static_cast<unsigned>(format.max_exponent - format.min_exponent + 2));
  const uint32_t sign = std::signbit(value) ? 1u << (bits - 1) : 0;
  const uint32_t infinity = static_cast<uint32_t>(format.max_exponent - format.min_exponent + 2) << format.mantissa;
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude)) return sign | infinity;
  int exponent = std::ilogb(magnitude);
  if (exponent < format.min_exponent) exponent = format.min_exponent;
  const double scaled = std::ldexp(magnitude, format.mantissa - exponent);  // an integer where nothing is lost
  const double floor = std::floor(scaled);
  const double rest = scaled - floor;
  auto mantissa = static_cast<uint32_t>(floor);
  const bool away = rounding == Rounding::nearest ? rest > 0.5 || (rest == 0.5 && (mantissa & 1) != 0)
                    : rounding == Rounding::up    ? rest > 0 && sign == 0
                    : rounding == Rounding::down  ? rest > 0 && sign != 0
                                                  : false;
  mantissa += away ? 1 : 0;
  // A normal number's leading one counts as one of the exponent field, so that a carry goes there by itself.
  const uint32_t result = (static_cast<uint32_t>(exponent - format.min_exponent) << format.mantissa) + mantissa;
  if (exponent <= format.max_exponent && result < infinity) return sign | result;
  const bool to_infinity = rounding == Rounding::nearest || (rounding == Rounding::up && sign == 0) ||
                           (rounding == Rounding::down && sign != 0);
  return sign | (to_infinity ? infinity : infinity - 1);
}

}  // namespace emulator::machine
