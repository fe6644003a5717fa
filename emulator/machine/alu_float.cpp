// Floating-point arithmetic to nearest (PTX ISA 9.0, sections 9.7.3 and 9.7.4); other roundings are in alu_rounded.cpp.
#include <cmath>

#include "machine/alu.h"
#include "machine/alu_rounded.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "machine/number.h"

namespace emulator::machine {
namespace {

using ptx::Type;

struct Add {
  template <class T>
  static T apply(T a, T b, T) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b, T) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static T apply(T a, T b, T) {
    return a * b;
  }
};
struct Fma {
  template <class T>
  static T apply(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
struct Div {
  template <class T>
  static T apply(T a, T b, T) {
    return a / b;
  }
};
// A NaN loses against a number, and -0 is below +0 (9.7.3.11).
struct Min {
  template <class T>
  static T apply(T a, T b, T) {
    return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? a : b) : a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b, T) {
    return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? b : a) : a > b ? a : b;
  }
};
// .NaN: a NaN wins.
struct MinNan {
  template <class T>
  static T apply(T a, T b, T c) {
    return a != a ? a : b != b ? b : Min::apply(a, b, c);
  }
};
struct MaxNan {
  template <class T>
  static T apply(T a, T b, T c) {
    return a != a ? a : b != b ? b : Max::apply(a, b, c);
  }
};
struct Abs {
  template <class T>
  static T apply(T a, T, T) {
    return std::fabs(a);
  }
};
struct Neg {
  template <class T>
  static T apply(T a, T, T) {
    return -a;
  }
};
struct Sqrt {
  template <class T>
  static T apply(T a, T, T) {
    return std::sqrt(a);
  }
};

// kSources: 1 to 3. Flags: .ftz flushes operands and results, .sat clamps to [0, 1] and makes NaN 0.
template <class F, int kSources, bool kFtz, bool kSat>
Outcome single(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  const uint32_t* const b = warp.lanes<uint32_t>(op.src[kSources > 1 ? 1 : 0]);
  const uint32_t* const c = warp.lanes<uint32_t>(op.src[kSources > 2 ? 2 : 0]);
  const auto in = [](uint32_t bits) { return kFtz ? flush(std::bit_cast<float>(bits)) : std::bit_cast<float>(bits); };
  each_lane(mask, [=](uint32_t lane) {
    float result = F::apply(in(a[lane]), in(b[lane]), in(c[lane]));
    if (kFtz) result = flush(result);
    if (kSat) result = result > 0 ? (result < 1 ? result : 1.0f) : 0.0f;
    d[lane] = put(result);
  });
  return Outcome::next;
}

template <class F, int kSources>
Outcome twice(Warp& warp, const Op& op, uint32_t mask) {
  uint64_t* const d = warp.lanes<uint64_t>(op.dst[0]);
  const uint64_t* const a = warp.lanes<uint64_t>(op.src[0]);
  const uint64_t* const b = warp.lanes<uint64_t>(op.src[kSources > 1 ? 1 : 0]);
  const uint64_t* const c = warp.lanes<uint64_t>(op.src[kSources > 2 ? 2 : 0]);
  each_lane(mask, [=](uint32_t lane) {
    d[lane] = std::bit_cast<uint64_t>(
        F::apply(std::bit_cast<double>(a[lane]), std::bit_cast<double>(b[lane]), std::bit_cast<double>(c[lane])));
  });
  return Outcome::next;
}

// Halves are computed in double so that the one rounding is into their own format; flags as Small.
enum Small : uint32_t { kBf = 1, kPacked = 2, kFlush = 4, kSaturate = 8, kRelu = 16 };

struct OddAdd {
  static double apply(double a, double b, double) { return add_to_odd(a, b); }
};
struct OddSub {
  static double apply(double a, double b, double) { return add_to_odd(a, -b); }
};
struct OddFma {
  static double apply(double a, double b, double c) { return fma_to_odd(a, b, c); }
};

uint32_t small_result(double value, uint32_t flags) {
  if (value != value) return (flags & kSaturate) != 0 ? 0 : 0x7fffu;
  if ((flags & kSaturate) != 0) value = value > 0 ? (value < 1 ? value : 1) : 0;
  if ((flags & kRelu) != 0) value = value > 0 ? value : 0;
  uint32_t bits = encode(value, (flags & kBf) != 0 ? kBfloat16 : kHalf, Rounding::nearest);
  if ((flags & kFlush) != 0 && (bits & 0x7c00u) == 0) bits &= 0x8000u;
  return bits;
}

double small_value(uint32_t bits, uint32_t flags) {
  bits &= 0xffffu;
  if ((flags & kFlush) != 0 && (bits & 0x7c00u) == 0) bits &= 0x8000u;
  return (flags & kBf) != 0 ? bfloat16_to_float(bits) : half_to_float(bits);
}

template <class F, int kSources>
Outcome small(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  const uint32_t* const b = warp.lanes<uint32_t>(op.src[kSources > 1 ? 1 : 0]);
  const uint32_t* const c = warp.lanes<uint32_t>(op.src[kSources > 2 ? 2 : 0]);
  const uint32_t flags = op.flags;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    uint32_t result = 0;
    for (uint32_t shift = 0; shift < ((flags & kPacked) != 0 ? 32u : 16u); shift += 16) {
      result |= small_result(F::apply(small_value(a[lane] >> shift, flags), small_value(b[lane] >> shift, flags),
                                      small_value(c[lane] >> shift, flags)),
                             flags)
                << shift;
    }
    d[lane] = result;
  }
  return Outcome::next;
}

bool is_small(Type type) {
  return type == Type::f16 || type == Type::f16x2 || type == Type::bf16 || type == Type::bf16x2;
}

void operands(Decoder& d, int sources, Type type) {
  const uint32_t bits = 8 * ptx::size_of(type);
  d.expect_operands(static_cast<size_t>(sources) + 1);
  d.add_destination(0, bits);
  for (int i = 1; i <= sources; ++i) d.add_source(static_cast<size_t>(i), bits);
}

template <class F, int kSources>
Handler pick_single(bool ftz, bool sat) {
  return ftz ? (sat ? single<F, kSources, true, true> : single<F, kSources, true, false>)
             : (sat ? single<F, kSources, false, true> : single<F, kSources, false, false>);
}

Type peek_type(Decoder& d) {
  Decoder copy(d);
  return copy.take_type();
}

/// F: for f32 and f64; S: for halves. `rounded`: its number among alu_rounded's operations, or -1.
template <class F, class S, int kSources>
void decode_arithmetic(Decoder& d, int rounded, bool needs_rounding) {
  const int rounding = d.take_one_of({"rn", "rz", "rm", "rp"}, needs_rounding ? -1 : 0);
  const bool ftz = d.take("ftz"), sat = d.take("sat"), relu = d.take("relu");
  const Type type = d.take_type();
  operands(d, kSources, type);
  if (is_small(type)) {
    const bool bf = type == Type::bf16 || type == Type::bf16x2;
    if (rounding != 0 || (bf && (ftz || sat)) || (relu && sat)) d.unsupported();
    d.op.flags = (bf ? kBf : 0u) | (ptx::size_of(type) == 4 ? kPacked : 0u) | (ftz ? kFlush : 0u) |
                 (sat ? kSaturate : 0u) | (relu ? kRelu : 0u);
    d.op.run = small<S, kSources>;
    return;
  }
  if (relu || (type != Type::f32 && type != Type::f64) || (type == Type::f64 && (ftz || sat))) d.unsupported();
  if (rounding != 0) {
    if (rounded < 0) d.unsupported();
    set_rounded(d, static_cast<RoundedOperation>(rounded), static_cast<Rounding>(rounding), type == Type::f64, ftz,
                sat);
  } else {
    d.op.run = type == Type::f64 ? twice<F, kSources> : pick_single<F, kSources>(ftz, sat);
  }
}

template <class F, class Nan>
void decode_extreme(Decoder& d, bool max) {
  if (!ptx::is_float(peek_type(d))) return decode_integer_min(d, max);
  const bool ftz = d.take("ftz"), nan = d.take("NaN");
  const Type type = d.take_type();
  operands(d, 2, type);
  if (is_small(type)) {
    const bool bf = type == Type::bf16 || type == Type::bf16x2;
    d.op.flags = (bf ? kBf : 0u) | (ptx::size_of(type) == 4 ? kPacked : 0u) | (ftz ? kFlush : 0u);
    d.op.run = nan ? small<Nan, 2> : small<F, 2>;
  } else if (type == Type::f32) {
    d.op.run = nan ? pick_single<Nan, 2>(ftz, false) : pick_single<F, 2>(ftz, false);
  } else if (ftz || nan) {
    d.unsupported();
  } else {
    d.op.run = twice<F, 2>;
  }
}

/// abs and neg of floats change the sign bit alone.
template <bool kNegate>
Outcome sign16(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  const uint32_t bits = (op.flags & kPacked) != 0 ? 0x80008000u : 0x8000u;
  each_lane(mask, [=](uint32_t lane) { d[lane] = kNegate ? a[lane] ^ bits : a[lane] & ~bits; });
  return Outcome::next;
}

template <class F, bool kNegate>
void decode_sign(Decoder& d) {
  if (!ptx::is_float(peek_type(d))) return decode_integer_abs(d, kNegate);
  const bool ftz = d.take("ftz");
  const Type type = d.take_type();
  operands(d, 1, type);
  if (is_small(type)) {
    if (ftz) d.unsupported();
    d.op.flags = ptx::size_of(type) == 4 ? kPacked : 0u;
    d.op.run = sign16<kNegate>;
  } else if (type == Type::f64 && ftz) {
    d.unsupported();
  } else {
    d.op.run = type == Type::f64 ? twice<F, 1> : pick_single<F, 1>(ftz, false);
  }
}

}  // namespace

void add_float(DecodeTable& table) {
  table["add"] = [](Decoder& d) {
    if (!ptx::is_float(peek_type(d))) return decode_integer_add(d, false);
    decode_arithmetic<Add, OddAdd, 2>(d, static_cast<int>(RoundedOperation::add), false);
  };
  table["sub"] = [](Decoder& d) {
    if (!ptx::is_float(peek_type(d))) return decode_integer_add(d, true);
    decode_arithmetic<Sub, OddSub, 2>(d, static_cast<int>(RoundedOperation::sub), false);
  };
  table["mul"] = [](Decoder& d) {
    if (!ptx::is_float(peek_type(d))) return decode_integer_multiply(d);
    decode_arithmetic<Mul, Mul, 2>(d, static_cast<int>(RoundedOperation::mul), false);
  };
  table["fma"] = [](Decoder& d) {
    decode_arithmetic<Fma, OddFma, 3>(d, static_cast<int>(RoundedOperation::fma), true);
  };
  table["mad"] = [](Decoder& d) {
    if (!ptx::is_float(peek_type(d))) return decode_integer_mad(d);
    decode_arithmetic<Fma, OddFma, 3>(d, static_cast<int>(RoundedOperation::fma), true);
  };
  table["div"] = [](Decoder& d) {
    const Type type = peek_type(d);
    if (!ptx::is_float(type)) return decode_integer_divide(d);
    if (type != Type::f32 && type != Type::f64) d.unsupported();
    // .approx and .full are within 2 ulp (9.7.3.8); here they are exact.
    if (d.take("approx") || d.take("full")) {
      if (type == Type::f64) d.unsupported();
      const bool ftz = d.take("ftz");
      operands(d, 2, d.take_type());
      d.op.run = pick_single<Div, 2>(ftz, false);
      return;
    }
    decode_arithmetic<Div, Div, 2>(d, static_cast<int>(RoundedOperation::div), true);
  };
  table["min"] = [](Decoder& d) { decode_extreme<Min, MinNan>(d, false); };
  table["max"] = [](Decoder& d) { decode_extreme<Max, MaxNan>(d, true); };
  table["abs"] = decode_sign<Abs, false>;
  table["neg"] = decode_sign<Neg, true>;
  table["sqrt"] = [](Decoder& d) {
    const Type type = peek_type(d);
    if (type != Type::f32 && type != Type::f64) d.unsupported();
    if (d.take("approx")) {
      const bool ftz = d.take("ftz");
      if (d.take_type() == Type::f64) d.unsupported();
      operands(d, 1, Type::f32);
      d.op.run = pick_single<Sqrt, 1>(ftz, false);
      return;
    }
    decode_arithmetic<Sqrt, Sqrt, 1>(d, static_cast<int>(RoundedOperation::sqrt), true);
  };
}

}  // namespace emulator::machine
