// cvt (PTX ISA 9.0, section 9.7.9.21). Compiled with -frounding-math: integers become floats in the processor's
// rounding mode.
#include <cfenv>
#include <cmath>
#include <limits>
#include <utility>

#include "machine/decoder.h"
#include "machine/eight_bits.h"
#include "machine/lanes.h"
#include "machine/number.h"

namespace emulator::machine {
namespace {

using ptx::Type;

enum Flag : uint32_t { kFtz = 1, kSat = 2, kRelu = 4 };

template <class F>
auto with_integer(Decoder& d, Type type, F f) {
  switch (type) {
    case Type::u8:
      return f(uint8_t{});
    case Type::s8:
      return f(int8_t{});
    case Type::u16:
      return f(uint16_t{});
    case Type::s16:
      return f(int16_t{});
    case Type::u32:
      return f(uint32_t{});
    case Type::s32:
      return f(int32_t{});
    case Type::u64:
      return f(uint64_t{});
    case Type::s64:
      return f(int64_t{});
    default:
      d.unsupported();
  }
}

/// Register: an integer of the destination register's width, which may be larger than D's: then the value is extended.
template <class Register, class D, class A, bool kSaturate>
Outcome integer_to_integer(Warp& warp, const Op& op, uint32_t mask) {
  auto* const d = warp.lanes<Lane<Register>>(op.dst[0]);
  const auto* const a = warp.lanes<Lane<A>>(op.src[0]);
  each_lane(mask, [=](uint32_t lane) {
    const A value = get<A>(a[lane]);
    D result = static_cast<D>(value);
    if (kSaturate && std::cmp_less(value, std::numeric_limits<D>::min())) result = std::numeric_limits<D>::min();
    if (kSaturate && std::cmp_greater(value, std::numeric_limits<D>::max())) result = std::numeric_limits<D>::max();
    d[lane] = put<Register>(static_cast<Register>(result));
  });
  return Outcome::next;
}

void decode_integers(Decoder& d, Type to, Type from, bool saturate) {
  const uint32_t bits = d.bits_of(d.operand(0));
  d.op.run = with_integer(d, to, [&](auto to_value) {
    using D = decltype(to_value);
    return with_integer(d, from, [&](auto from_value) -> Handler {
      using A = decltype(from_value);
      const auto pick = [&](auto register_value) -> Handler {
        using R = decltype(register_value);
        return saturate ? integer_to_integer<R, D, A, true> : integer_to_integer<R, D, A, false>;
      };
      return bits == 64 ? pick(uint64_t{}) : bits == 32 ? pick(uint32_t{}) : pick(uint16_t{});
    });
  });
}

/// The value of a float of any width, exactly.
double value_of(Type type, uint64_t bits, bool ftz) {
  switch (type) {
    case Type::f16:
      return half_to_float(static_cast<uint32_t>(bits));
    case Type::bf16:
      return bfloat16_to_float(static_cast<uint32_t>(bits & 0xffff));
    case Type::f32: {
      const float value = std::bit_cast<float>(static_cast<uint32_t>(bits));
      return ftz ? flush(value) : value;
    }
    default:
      return std::bit_cast<double>(bits);
  }
}

template <Type kFrom>
uint64_t load(Warp& warp, Slot slot, uint32_t lane) {
  return kFrom == Type::f64 ? warp.lanes<uint64_t>(slot)[lane] : warp.lanes<uint32_t>(slot)[lane];
}

double round_to_integer(double value, uint8_t rounding) {
  switch (rounding) {
    case 0:
      return std::nearbyint(value);
    case 1:
      return std::trunc(value);
    case 2:
      return std::floor(value);
    default:
      return std::ceil(value);
  }
}

// Out of range: the nearest integer there is. NaN: 0, or the top bit alone where either side has 64 bits.
template <Type kFrom, class D>
Outcome float_to_integer(Warp& warp, const Op& op, uint32_t mask) {
  const bool wide = op.value == 64;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const double value =
        round_to_integer(value_of(kFrom, load<kFrom>(warp, op.src[0], lane), (op.flags & kFtz) != 0), op.kind);
    D result = 0;
    const double end = std::ldexp(1.0, std::numeric_limits<D>::digits);
    if (value != value) {
      if (kFrom == Type::f64 || sizeof(D) == 8)
        result = static_cast<D>(std::make_unsigned_t<D>{1} << (8 * sizeof(D) - 1));
    } else if (value >= end) {
      result = std::numeric_limits<D>::max();
    } else if (value <= static_cast<double>(std::numeric_limits<D>::min())) {
      result = std::numeric_limits<D>::min();
    } else {
      result = static_cast<D>(value);
    }
    wide ? warp.lanes<uint64_t>(op.dst[0])[lane] = static_cast<uint64_t>(static_cast<int64_t>(result))
         : warp.lanes<uint32_t>(op.dst[0])[lane] =
               op.value == 16 ? static_cast<uint16_t>(result) : static_cast<uint32_t>(result);
  }
  return Outcome::next;
}

template <class T, class A>
[[gnu::noinline]] T to_float(A value) {
  return static_cast<T>(value);
}

constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

template <class A, Type kTo>
Outcome integer_to_float(Warp& warp, const Op& op, uint32_t mask) {
  if (op.kind != 0) std::fesetround(kModes[op.kind]);
  const auto* const a = warp.lanes<Lane<A>>(op.src[0]);
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const A value = get<A>(a[lane]);
    if constexpr (kTo == Type::f32) {
      warp.lanes<uint32_t>(op.dst[0])[lane] = put(to_float<float>(value));
    } else if constexpr (kTo == Type::f64) {
      warp.lanes<uint64_t>(op.dst[0])[lane] = put(to_float<double>(value));
    } else {
      // 64-bit integers that a double cannot hold are infinite as f16; bf16 takes up to 32 bits here.
      warp.lanes<uint32_t>(op.dst[0])[lane] =
          encode(static_cast<double>(value), kTo == Type::f16 ? kHalf : kBfloat16, static_cast<Rounding>(op.kind));
    }
  }
  if (op.kind != 0) std::fesetround(FE_TONEAREST);
  return Outcome::next;
}

uint32_t narrowed(double value, Type to, Rounding rounding, uint32_t flags) {
  if (value != value) return (flags & kSat) != 0 ? 0 : 0x7fffu;
  if ((flags & kSat) != 0) value = value > 0 ? (value < 1 ? value : 1) : 0;
  if ((flags & kRelu) != 0) value = value > 0 ? value : 0;
  return encode(value, to == Type::f16 || to == Type::f16x2 ? kHalf : kBfloat16, rounding);
}

template <Type kTo, Type kFrom>
Outcome float_to_float(Warp& warp, const Op& op, uint32_t mask) {
  const uint32_t flags = op.flags;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    double value = value_of(kFrom, load<kFrom>(warp, op.src[0], lane), (flags & kFtz) != 0);
    if ((op.kind & 4) != 0) value = round_to_integer(value, op.kind & 3);
    if constexpr (kTo == Type::f16 || kTo == Type::bf16) {
      warp.lanes<uint32_t>(op.dst[0])[lane] = narrowed(value, kTo, static_cast<Rounding>(op.kind & 3), flags);
      continue;
    }
    if ((flags & kSat) != 0) value = value > 0 ? (value < 1 ? value : 1) : 0;
    if constexpr (kTo == Type::f32) {
      uint32_t bits = value != value ? 0x7fffffffu : encode(value, kSingle, static_cast<Rounding>(op.kind & 3));
      if ((flags & kFtz) != 0) bits = std::bit_cast<uint32_t>(flush(std::bit_cast<float>(bits)));
      warp.lanes<uint32_t>(op.dst[0])[lane] = bits;
    } else {
      warp.lanes<uint64_t>(op.dst[0])[lane] = std::bit_cast<uint64_t>(value);
    }
  }
  return Outcome::next;
}

template <Type kTo>
Handler from_float(Decoder& d, Type from) {
  switch (from) {
    case Type::f16:
      return float_to_float<kTo, Type::f16>;
    case Type::bf16:
      return float_to_float<kTo, Type::bf16>;
    case Type::f32:
      return float_to_float<kTo, Type::f32>;
    case Type::f64:
      return float_to_float<kTo, Type::f64>;
    default:
      d.unsupported();
  }
}

// The conversions of the inner loops: to nearest, no flags.
template <bool kHalfs>
uint32_t to_small(uint32_t bits) {
  return kHalfs ? float_to_half(std::bit_cast<float>(bits)) : float_to_bfloat16(std::bit_cast<float>(bits));
}
template <bool kHalfs>
Outcome single_to_small(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  each_lane(mask, [=](uint32_t lane) { d[lane] = to_small<kHalfs>(a[lane]); });
  return Outcome::next;
}
// The first operand becomes the upper half.
template <bool kHalfs>
Outcome singles_to_packed(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  const uint32_t* const b = warp.lanes<uint32_t>(op.src[1]);
  each_lane(mask, [=](uint32_t lane) { d[lane] = to_small<kHalfs>(a[lane]) << 16 | to_small<kHalfs>(b[lane]); });
  return Outcome::next;
}
Outcome singles_to_packed_with_flags(Warp& warp, const Op& op, uint32_t mask) {
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    uint32_t result = 0;
    for (uint32_t i = 0; i < 2; ++i) {
      const double value = std::bit_cast<float>(warp.lanes<uint32_t>(op.src[i])[lane]);
      result = result << 16 | narrowed(value, op.type, static_cast<Rounding>(op.kind), op.flags);
    }
    warp.lanes<uint32_t>(op.dst[0])[lane] = result;
  }
  return Outcome::next;
}

Outcome singles_to_eight_bits(Warp& warp, const Op& op, uint32_t mask) {
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    uint32_t result = 0;
    for (uint32_t i = 0; i < 2; ++i) {
      float value = std::bit_cast<float>(warp.lanes<uint32_t>(op.src[i])[lane]);
      if ((op.flags & kRelu) != 0 && value <= 0) value = 0;
      result = result << 8 | to_eight_bits(value, op.value != 0);
    }
    warp.lanes<uint32_t>(op.dst[0])[lane] = result;
  }
  return Outcome::next;
}
Outcome eight_bits_to_halves(Warp& warp, const Op& op, uint32_t mask) {
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const uint32_t bits = warp.lanes<uint32_t>(op.src[0])[lane];
    warp.lanes<uint32_t>(op.dst[0])[lane] = float_to_half(from_eight_bits(bits >> 8, op.value != 0)) << 16 |
                                            float_to_half(from_eight_bits(bits, op.value != 0));
  }
  return Outcome::next;
}

void decode_eight_bits(Decoder& d) {
  if (!d.take("rn")) d.unsupported();
  const int format = d.take_one_of({"e4m3x2", "e5m2x2"});
  d.op.value = format;
  if (d.take("relu")) d.op.flags |= kRelu;
  const bool to_eight = d.take("satfinite");
  const Type other = d.take_type();
  if (to_eight && other == Type::f32) {
    d.expect_operands(3);
    d.add_destination(0, 16);
    d.add_source(1, 32);
    d.add_source(2, 32);
    d.op.run = singles_to_eight_bits;
  } else if (!to_eight && other == Type::f16x2 && d.op.flags == 0) {
    d.expect_operands(2);
    d.add_destination(0, 32);
    d.add_source(1, 16);
    d.op.run = eight_bits_to_halves;
  } else {
    d.unsupported();
  }
}

void decode_packed(Decoder& d, Type to, int rounding) {
  if (d.take_type() != Type::f32 || rounding > 1) d.unsupported();
  d.expect_operands(3);
  d.add_destination(0, 32);
  d.add_source(1, 32);
  d.add_source(2, 32);
  d.op.type = to;
  d.op.kind = static_cast<uint8_t>(rounding);
  const bool halves = to == Type::f16x2;
  d.op.run = rounding != 0 || d.op.flags != 0 ? singles_to_packed_with_flags
             : halves                         ? singles_to_packed<true>
                                              : singles_to_packed<false>;
}

void decode_from_integer(Decoder& d, Type to, Type from, int rounding) {
  if (rounding > 3) d.fail("a rounding is missing");
  d.op.kind = static_cast<uint8_t>(rounding);
  if (d.op.flags != 0 || (to == Type::bf16 && ptx::size_of(from) == 8)) d.unsupported();
  d.op.run = with_integer(d, from, [&](auto value) -> Handler {
    using A = decltype(value);
    return to == Type::f32   ? integer_to_float<A, Type::f32>
           : to == Type::f64 ? integer_to_float<A, Type::f64>
           : to == Type::f16 ? integer_to_float<A, Type::f16>
                             : integer_to_float<A, Type::bf16>;
  });
}

void decode_to_integer(Decoder& d, Type to, Type from, int rounding) {
  if (rounding < 4 || rounding > 7) d.fail("a rounding to an integer is missing");
  d.op.kind = static_cast<uint8_t>(rounding - 4);
  d.op.value = d.bits_of(d.operand(0));
  d.op.run = with_integer(d, to, [&](auto value) -> Handler {
    using D = decltype(value);
    return from == Type::f32    ? float_to_integer<Type::f32, D>
           : from == Type::f64  ? float_to_integer<Type::f64, D>
           : from == Type::f16  ? float_to_integer<Type::f16, D>
           : from == Type::bf16 ? float_to_integer<Type::bf16, D>
                                : nullptr;
  });
  if (d.op.run == nullptr) d.unsupported();
}

void decode_floats(Decoder& d, Type to, Type from, int rounding) {
  const bool narrows = ptx::size_of(to) < ptx::size_of(from) || (ptx::size_of(to) == 2 && to != from);
  if (narrows && rounding > 3) d.fail("a rounding is missing");
  if (!narrows && to != from && rounding != 8) d.unsupported();
  if (to == from && rounding < 4) d.unsupported();
  d.op.kind = static_cast<uint8_t>(rounding == 8 ? 0 : rounding);
  if (to == Type::f16 && from == Type::f32 && rounding == 0 && d.op.flags == 0) {
    d.op.run = single_to_small<true>;
  } else if (to == Type::bf16 && from == Type::f32 && rounding == 0 && d.op.flags == 0) {
    d.op.run = single_to_small<false>;
  } else {
    d.op.run = to == Type::f16    ? from_float<Type::f16>(d, from)
               : to == Type::bf16 ? from_float<Type::bf16>(d, from)
               : to == Type::f32  ? from_float<Type::f32>(d, from)
                                  : from_float<Type::f64>(d, from);
  }
}

}  // namespace

void add_convert(DecodeTable& table) {
  table["cvt"] = [](Decoder& d) {
    if (d.has("e4m3x2") || d.has("e5m2x2")) return decode_eight_bits(d);
    const int rounding = d.take_one_of({"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi"}, 8);
    if (d.take("ftz")) d.op.flags |= kFtz;
    if (d.take("sat")) d.op.flags |= kSat;
    if (d.take("relu")) d.op.flags |= kRelu;
    const Type to = d.take_type();
    if (to == Type::f16x2 || to == Type::bf16x2) return decode_packed(d, to, rounding);
    const Type from = d.take_type();
    d.expect_operands(2);
    d.add_destination(0, 8 * ptx::size_of(to), true);
    d.add_source(1, 8 * ptx::size_of(from), true);
    const bool saturate = (d.op.flags & kSat) != 0;
    if ((d.op.flags & kRelu) != 0 && to != Type::f16 && to != Type::bf16) d.unsupported();
    if (ptx::is_float(to) && ptx::size_of(to) * 8 != d.bits_of(d.operand(0))) d.unsupported();
    if (!ptx::is_float(to) && !ptx::is_float(from)) {
      if (rounding != 8 || (d.op.flags & ~kSat) != 0) d.unsupported();
      return decode_integers(d, to, from, saturate);
    }
    if (!ptx::is_float(to)) return decode_to_integer(d, to, from, rounding);
    if (!ptx::is_float(from)) return decode_from_integer(d, to, from, rounding);
    decode_floats(d, to, from, rounding);
  };
}

}  // namespace emulator::machine
