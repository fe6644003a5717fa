// Compiled with -frounding-math: the processor's own rounding mode does the work.
#include "machine/alu_rounded.h"

#include <cfenv>
#include <cmath>

#include "machine/lanes.h"

namespace emulator::machine {
namespace {

enum Flag : uint32_t { kFtz = 1, kSat = 2 };

template <class T>
[[gnu::noinline]] T compute(RoundedOperation operation, T a, T b, T c) {
  switch (operation) {
    case RoundedOperation::add:
      return a + b;
    case RoundedOperation::sub:
      return a - b;
    case RoundedOperation::mul:
      return a * b;
    case RoundedOperation::fma:
      return std::fma(a, b, c);
    case RoundedOperation::div:
      return a / b;
    default:
      return std::sqrt(a);
  }
}

template <class T>
Outcome rounded(Warp& warp, const Op& op, uint32_t mask) {
  auto* const d = warp.lanes<Lane<T>>(op.dst[0]);
  const Lane<T>* sources[3] = {};
  for (uint32_t i = 0; i < 3; ++i) sources[i] = warp.lanes<Lane<T>>(op.src[i < op.sources ? i : 0]);
  const auto operation = static_cast<RoundedOperation>(op.kind);
  const bool ftz = (op.flags & kFtz) != 0;
  constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  const int mode = kModes[op.value];
  std::fesetround(mode);
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    T in[3];
    for (uint32_t i = 0; i < 3; ++i) {
      in[i] = get<T>(sources[i][lane]);
      if constexpr (sizeof(T) == 4) in[i] = ftz ? flush(in[i]) : in[i];
    }
    T result = compute(operation, in[0], in[1], in[2]);
    if constexpr (sizeof(T) == 4) {
      if (ftz) result = flush(result);
      if ((op.flags & kSat) != 0) result = result > 0 ? (result < 1 ? result : 1) : 0;
    }
    d[lane] = put<T>(result);
  }
  std::fesetround(FE_TONEAREST);
  return Outcome::next;
}

}  // namespace

void set_rounded(Decoder& d, RoundedOperation operation, Rounding rounding, bool is_double, bool ftz, bool sat) {
  d.op.kind = static_cast<uint8_t>(operation);
  d.op.value = static_cast<int64_t>(rounding);
  d.op.flags = (ftz ? kFtz : 0u) | (sat ? kSat : 0u);
  d.op.run = is_double ? rounded<double> : rounded<float>;
}

}  // namespace emulator::machine
