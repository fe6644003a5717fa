// Integer arithmetic (PTX ISA 9.0, section 9.7.1) and extended precision (9.7.2).
#include <limits>

#include "machine/decoder.h"
#include "machine/lanes.h"

namespace emulator::machine {
namespace {

using ptx::Type;

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UInt128;

// Arithmetic wraps: done unsigned.
template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
using Double =
    std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                       std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
                                          std::conditional_t<std::is_signed_v<T>, Int128, UInt128>>>;

template <class T>
struct Add {
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<Unsigned<T>>(static_cast<Unsigned<T>>(a) + static_cast<Unsigned<T>>(b)));
  }
};
template <class T>
struct Sub {
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<Unsigned<T>>(static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b)));
  }
};
template <class T>
struct AddSaturated {
  static T apply(T a, T b) {
    T sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max())
                                              : sum;
  }
};
template <class T>
struct SubSaturated {
  static T apply(T a, T b) {
    T difference = 0;
    if (!__builtin_sub_overflow(a, b, &difference)) return difference;
    return b < 0 ? std::numeric_limits<T>::max() : std::numeric_limits<T>::min();
  }
};
template <class T>
struct MulLow {
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<Unsigned<T>>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)));
  }
};
template <class T>
struct MulHigh {
  static T apply(T a, T b) {
    return static_cast<T>((static_cast<Double<T>>(a) * static_cast<Double<T>>(b)) >> (8 * sizeof(T)));
  }
};
template <class T>
struct MulWide {
  static Double<T> apply(T a, T b) {
    return static_cast<Double<T>>(static_cast<Double<T>>(a) * static_cast<Double<T>>(b));
  }
};
template <class T>
struct MadLow {
  static T apply(T a, T b, T c) { return Add<T>::apply(MulLow<T>::apply(a, b), c); }
};
template <class T>
struct MadHigh {
  static T apply(T a, T b, T c) { return Add<T>::apply(MulHigh<T>::apply(a, b), c); }
};
template <class T>
struct MadWide {
  static Double<T> apply(T a, T b, Double<T> c) { return Add<Double<T>>::apply(MulWide<T>::apply(a, b), c); }
};
// Division by zero gives an unspecified value (9.7.1.8): all ones here, as on the hardware.
template <class T>
struct Div {
  static T apply(T a, T b) {
    if (b == 0) return static_cast<T>(-1);
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Sub<T>::apply(0, a);
    return static_cast<T>(a / b);
  }
};
template <class T>
struct Rem {
  static T apply(T a, T b) {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    return static_cast<T>(a % b);
  }
};
template <class T>
struct Min {
  static T apply(T a, T b) { return a < b ? a : b; }
};
template <class T>
struct Max {
  static T apply(T a, T b) { return a > b ? a : b; }
};
template <class T>
struct Abs {
  static T apply(T a) { return a < 0 ? Sub<T>::apply(0, a) : a; }
};
template <class T>
struct Neg {
  static T apply(T a) { return Sub<T>::apply(0, a); }
};
template <class T>
struct Sad {
  static Unsigned<T> apply(T a, T b, Unsigned<T> c) {
    return static_cast<Unsigned<T>>(c + (a < b ? static_cast<Unsigned<T>>(b) - static_cast<Unsigned<T>>(a)
                                               : static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b)));
  }
};

/// Calls f with a null pointer to the C++ type of an integer type.
template <class F>
Handler with_integer(Decoder& d, Type type, F f) {
  switch (type) {
    case Type::u16:
      return f(static_cast<uint16_t*>(nullptr));
    case Type::s16:
      return f(static_cast<int16_t*>(nullptr));
    case Type::u32:
      return f(static_cast<uint32_t*>(nullptr));
    case Type::s32:
      return f(static_cast<int32_t*>(nullptr));
    case Type::u64:
      return f(static_cast<uint64_t*>(nullptr));
    case Type::s64:
      return f(static_cast<int64_t*>(nullptr));
    default:
      d.unsupported();
  }
}

template <template <class> class F>
Handler binary_of(Decoder& d, Type type) {
  return with_integer(d, type, [](auto* t) -> Handler {
    using T = std::remove_pointer_t<decltype(t)>;
    return binary<T, T, F<T>>;
  });
}
template <template <class> class F>
Handler unary_of(Decoder& d, Type type) {
  return with_integer(d, type, [](auto* t) -> Handler {
    using T = std::remove_pointer_t<decltype(t)>;
    return unary<T, T, F<T>>;
  });
}
template <template <class> class F>
Handler ternary_of(Decoder& d, Type type) {
  return with_integer(d, type, [](auto* t) -> Handler {
    using T = std::remove_pointer_t<decltype(t)>;
    return ternary<T, T, T, F<T>>;
  });
}

void operands(Decoder& d, size_t sources, uint32_t bits, uint32_t result_bits) {
  d.expect_operands(sources + 1);
  d.add_destination(0, result_bits);
  for (size_t i = 0; i < sources; ++i) d.add_source(1 + i, i == 2 ? result_bits : bits);
}
void operands(Decoder& d, size_t sources, Type type) {
  operands(d, sources, 8 * ptx::size_of(type), 8 * ptx::size_of(type));
}

// add.cc, addc, sub.cc, subc, mad.cc, madc: kind bit 0: takes the carry in, bit 1: leaves one.
template <class T, bool kSubtract>
Outcome with_carry(Warp& warp, const Op& op, uint32_t mask) {
  T* const d = warp.lanes<T>(op.dst[0]);
  const T* const a = warp.lanes<T>(op.src[0]);
  const T* const b = warp.lanes<T>(op.src[1]);
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const T in = (op.kind & 1) != 0 ? static_cast<T>(warp.carry >> lane & 1) : T{0};
    T first = 0, second = 0;
    const bool first_out =
        kSubtract ? __builtin_sub_overflow(a[lane], b[lane], &first) : __builtin_add_overflow(a[lane], b[lane], &first);
    const bool out =
        (kSubtract ? __builtin_sub_overflow(first, in, &second) : __builtin_add_overflow(first, in, &second)) ||
        first_out;
    d[lane] = second;
    if ((op.kind & 2) != 0) warp.carry = (warp.carry & ~(1u << lane)) | static_cast<uint32_t>(out) << lane;
  }
  return Outcome::next;
}

template <class T, bool kHigh>
Outcome mad_with_carry(Warp& warp, const Op& op, uint32_t mask) {
  T* const d = warp.lanes<T>(op.dst[0]);
  const T* const a = warp.lanes<T>(op.src[0]);
  const T* const b = warp.lanes<T>(op.src[1]);
  const T* const c = warp.lanes<T>(op.src[2]);
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const T product = kHigh ? MulHigh<T>::apply(a[lane], b[lane]) : MulLow<T>::apply(a[lane], b[lane]);
    const T in = (op.kind & 1) != 0 ? static_cast<T>(warp.carry >> lane & 1) : T{0};
    T first = 0, second = 0;
    const bool first_out = __builtin_add_overflow(product, c[lane], &first);
    const bool out = __builtin_add_overflow(first, in, &second) || first_out;
    d[lane] = second;
    if ((op.kind & 2) != 0) warp.carry = (warp.carry & ~(1u << lane)) | static_cast<uint32_t>(out) << lane;
  }
  return Outcome::next;
}

template <bool kSubtract>
void decode_carry(Decoder& d, bool carry_in) {
  const bool carry_out = d.take("cc");
  const Type type = d.take_type();
  if (ptx::is_float(type) || ptx::size_of(type) < 4) d.unsupported();
  d.op.kind = static_cast<uint8_t>((carry_in ? 1 : 0) | (carry_out ? 2 : 0));
  d.op.run = ptx::size_of(type) == 8 ? with_carry<uint64_t, kSubtract> : with_carry<uint32_t, kSubtract>;
  operands(d, 2, type);
}

void decode_mad_carry(Decoder& d, bool carry_in) {
  const bool carry_out = d.take("cc");
  const bool high = d.take_one_of({"lo", "hi"}) == 1;
  const Type type = d.take_type();
  if (type != Type::u32 && type != Type::u64 && !(type == Type::s32 && !high) && !(type == Type::s64 && !high))
    d.unsupported();
  d.op.kind = static_cast<uint8_t>((carry_in ? 1 : 0) | (carry_out ? 2 : 0));
  if (ptx::size_of(type) == 8) {
    d.op.run = high ? mad_with_carry<uint64_t, true> : mad_with_carry<uint64_t, false>;
  } else {
    d.op.run = high ? mad_with_carry<uint32_t, true> : mad_with_carry<uint32_t, false>;
  }
  operands(d, 3, type);
}

/// mul and mad: .lo, .hi or .wide.
template <bool kAdd>
void decode_multiply(Decoder& d) {
  const int form = d.take_one_of({"lo", "hi", "wide"});
  const Type type = d.take_type();
  if (form == 2) {
    d.op.run = with_integer(d, type, [&](auto* t) -> Handler {
      using T = std::remove_pointer_t<decltype(t)>;
      if constexpr (sizeof(T) == 8) {
        d.unsupported();
      } else if constexpr (kAdd) {
        return ternary<Double<T>, T, Double<T>, MadWide<T>>;
      } else {
        return binary<Double<T>, T, MulWide<T>>;
      }
    });
    return operands(d, kAdd ? 3 : 2, 8 * ptx::size_of(type), 16 * ptx::size_of(type));
  }
  if constexpr (kAdd) {
    d.op.run = form == 1 ? ternary_of<MadHigh>(d, type) : ternary_of<MadLow>(d, type);
  } else {
    d.op.run = form == 1 ? binary_of<MulHigh>(d, type) : binary_of<MulLow>(d, type);
  }
  operands(d, kAdd ? 3 : 2, type);
}

template <template <class> class F>
void decode_binary(Decoder& d) {
  const Type type = d.take_type();
  d.op.run = binary_of<F>(d, type);
  operands(d, 2, type);
}

}  // namespace

void decode_integer_add(Decoder& d, bool subtract) {
  if (d.has("cc")) return subtract ? decode_carry<true>(d, false) : decode_carry<false>(d, false);
  if (d.take("sat")) {
    if (d.take_type() != Type::s32) d.unsupported();
    d.op.run =
        subtract ? binary<int32_t, int32_t, SubSaturated<int32_t>> : binary<int32_t, int32_t, AddSaturated<int32_t>>;
    return operands(d, 2, Type::s32);
  }
  subtract ? decode_binary<Sub>(d) : decode_binary<Add>(d);
}
void decode_integer_multiply(Decoder& d) {
  decode_multiply<false>(d);
}
void decode_integer_mad(Decoder& d) {
  d.has("cc") ? decode_mad_carry(d, false) : decode_multiply<true>(d);
}
void decode_integer_divide(Decoder& d) {
  decode_binary<Div>(d);
}
void decode_integer_min(Decoder& d, bool max) {
  max ? decode_binary<Max>(d) : decode_binary<Min>(d);
}
void decode_integer_abs(Decoder& d, bool negate) {
  const Type type = d.take_type();
  if (!ptx::is_signed(type)) d.unsupported();
  d.op.run = negate ? unary_of<Neg>(d, type) : unary_of<Abs>(d, type);
  operands(d, 1, type);
}

void add_integer(DecodeTable& table) {
  table["addc"] = [](Decoder& d) { decode_carry<false>(d, true); };
  table["subc"] = [](Decoder& d) { decode_carry<true>(d, true); };
  table["madc"] = [](Decoder& d) { decode_mad_carry(d, true); };
  table["rem"] = decode_binary<Rem>;
  table["sad"] = [](Decoder& d) {
    const Type type = d.take_type();
    d.op.run = with_integer(d, type, [](auto* t) -> Handler {
      using T = std::remove_pointer_t<decltype(t)>;
      return ternary<Unsigned<T>, T, Unsigned<T>, Sad<T>>;
    });
    operands(d, 3, type);
  };
}

}  // namespace emulator::machine
