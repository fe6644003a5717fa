// Logic, shifts and bit fields (PTX ISA 9.0, sections 9.7.1 and 9.7.8).
#include <bit>

#include "machine/decoder.h"
#include "machine/lanes.h"

namespace emulator::machine {
namespace {

using ptx::Type;

template <class T>
struct And {
  static T apply(T a, T b) { return a & b; }
};
template <class T>
struct Or {
  static T apply(T a, T b) { return a | b; }
};
template <class T>
struct Xor {
  static T apply(T a, T b) { return a ^ b; }
};

/// and, or, xor, not of predicates.
template <uint8_t kKind>
Outcome logic_of_predicates(Warp& warp, const Op& op, uint32_t mask) {
  const uint32_t a = warp.predicate(op.src[0]) ^ ((op.flags & 1) != 0 ? kAllLanes : 0);
  const uint32_t b = kKind == 3 ? 0 : warp.predicate(op.src[1]) ^ ((op.flags & 2) != 0 ? kAllLanes : 0);
  const uint32_t result = kKind == 0 ? a & b : kKind == 1 ? a | b : kKind == 2 ? a ^ b : ~a;
  uint32_t& d = warp.predicate(op.dst[0]);
  d = (result & mask) | (d & ~mask);
  return Outcome::next;
}

template <template <class> class F, uint8_t kKind>
void decode_logic(Decoder& d) {
  const Type type = d.take_type();
  d.expect_operands(3);
  const uint32_t bits = type == Type::pred ? 1 : 8 * ptx::size_of(type);
  if (type != Type::pred && type != Type::b16 && type != Type::b32 && type != Type::b64) d.unsupported();
  d.add_destination(0, bits);
  for (size_t i = 1; i < 3; ++i) {
    if (d.operand(i).negated) {
      if (bits != 1) d.fail("only predicates are negated in place");
      d.op.flags |= 1u << (i - 1);
    }
    d.add_source(i, bits);
  }
  d.op.run = bits == 1    ? logic_of_predicates<kKind>
             : bits == 64 ? binary<uint64_t, uint64_t, F<uint64_t>>
                          : binary<uint32_t, uint32_t, F<uint32_t>>;
}

template <class T>
struct Not {
  static T apply(T a) { return static_cast<T>(~a); }
};
template <class T>
struct LogicalNot {
  static T apply(T a) { return a == 0; }
};

// Amounts at or above the width shift everything out (9.7.8.7, 9.7.8.8).
template <class T>
struct ShiftLeft {
  static T apply(T a, T, uint32_t amount) {
    return static_cast<T>(amount >= 8 * sizeof(T) ? 0 : static_cast<uint64_t>(a) << (amount & 63));
  }
};
template <class T>
struct ShiftRight {
  static T apply(T a, T, uint32_t amount) {
    const uint32_t most = 8 * sizeof(T) - 1;
    if (std::is_unsigned_v<T> && amount > most) return 0;
    return static_cast<T>(a >> (amount > most ? most : amount));
  }
};

template <bool kLeft>
void decode_shift(Decoder& d) {
  const Type type = d.take_type();
  const uint32_t bits = 8 * ptx::size_of(type);
  d.expect_operands(3);
  d.add_destination(0, bits);
  d.add_source(1, bits);
  d.add_source(1, bits);  // in place of the second of three operands
  d.add_source(2, 32);
  const auto pick = [&](auto* t) {
    using T = std::remove_pointer_t<decltype(t)>;
    d.op.run = kLeft ? ternary<T, T, uint32_t, ShiftLeft<T>> : ternary<T, T, uint32_t, ShiftRight<T>>;
  };
  const bool arithmetic = ptx::is_signed(type) && !kLeft;
  switch (ptx::is_float(type) || type == Type::pred ? 0 : bits) {
    case 16:
      arithmetic ? pick(static_cast<int16_t*>(nullptr)) : pick(static_cast<uint16_t*>(nullptr));
      break;
    case 32:
      arithmetic ? pick(static_cast<int32_t*>(nullptr)) : pick(static_cast<uint32_t*>(nullptr));
      break;
    case 64:
      arithmetic ? pick(static_cast<int64_t*>(nullptr)) : pick(static_cast<uint64_t*>(nullptr));
      break;
    default:
      d.unsupported();
  }
}

// shf: the 64 bits b:a shifted; .l gives the upper half, .r the lower (9.7.8.6).
template <bool kLeft, bool kWrap>
struct Funnel {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t amount = kWrap ? c & 31 : c > 32 ? 32 : c;
    const uint64_t both = static_cast<uint64_t>(b) << 32 | a;
    return static_cast<uint32_t>(kLeft ? both << amount >> 32 : both >> amount);
  }
};

struct Popcount32 {
  static uint32_t apply(uint32_t a) { return static_cast<uint32_t>(std::popcount(a)); }
};
struct Popcount64 {
  static uint32_t apply(uint64_t a) { return static_cast<uint32_t>(std::popcount(a)); }
};
struct LeadingZeros32 {
  static uint32_t apply(uint32_t a) { return static_cast<uint32_t>(std::countl_zero(a)); }
};
struct LeadingZeros64 {
  static uint32_t apply(uint64_t a) { return static_cast<uint32_t>(std::countl_zero(a)); }
};
template <class T>
struct Reverse {
  static T apply(T a) {
    T result = 0;
    for (uint32_t i = 0; i < 8 * sizeof(T); ++i) result |= (a >> i & 1) << (8 * sizeof(T) - 1 - i);
    return result;
  }
};
// bfind: the highest bit that differs from the sign; .shiftamt: how far it is from the top; none: all ones (9.7.1.18).
template <class T, bool kShift>
struct FindBit {
  static uint32_t apply(T a) {
    using U = std::make_unsigned_t<T>;
    const U bits = static_cast<U>(a < 0 ? ~a : a);
    if (bits == 0) return UINT32_MAX;
    const auto zeros = static_cast<uint32_t>(std::countl_zero(bits));
    return kShift ? zeros : static_cast<uint32_t>(8 * sizeof(T)) - 1 - zeros;
  }
};
// 9.7.1.20: fields past the top end there; a signed field that ends past the top repeats the top bit.
template <class T>
struct Extract {
  static T apply(T a, uint32_t position, uint32_t length) {
    constexpr uint32_t kTop = 8 * sizeof(T) - 1;
    using U = std::make_unsigned_t<T>;
    position &= 0xff;
    length &= 0xff;
    const U bits = static_cast<U>(a);
    const uint32_t sign_at = position + length - 1 > kTop ? kTop : position + length - 1;
    const bool sign = std::is_signed_v<T> && length != 0 && (bits >> sign_at & 1) != 0;
    U result = sign ? static_cast<U>(~U{0}) : U{0};
    const U field = position > kTop ? U{0} : static_cast<U>(bits >> position);
    const uint32_t taken = position > kTop ? 0 : (length < kTop + 1 - position ? length : kTop + 1 - position);
    const U mask = taken > kTop ? static_cast<U>(~U{0}) : static_cast<U>((U{1} << taken) - 1);
    result = static_cast<U>((result & ~mask) | (field & mask));
    return static_cast<T>(result);
  }
};
template <class T>
Outcome insert(Warp& warp, const Op& op, uint32_t mask) {
  constexpr uint32_t kTop = 8 * sizeof(T) - 1;
  T* const d = warp.lanes<T>(op.dst[0]);
  const T* const a = warp.lanes<T>(op.src[0]);
  const T* const b = warp.lanes<T>(op.src[1]);
  const uint32_t* const positions = warp.lanes<uint32_t>(op.src[2]);
  const uint32_t* const lengths = warp.lanes<uint32_t>(op.src[3]);
  each_lane(mask, [=](uint32_t lane) {
    const uint32_t position = positions[lane] & 0xff, length = lengths[lane] & 0xff;
    const T ones = length > kTop ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << length) - 1);
    const T field = position > kTop ? T{0} : static_cast<T>(ones << position);
    const T value = position > kTop ? T{0} : static_cast<T>(a[lane] << position);
    d[lane] = (b[lane] & ~field) | (value & field);
  });
  return Outcome::next;
}

template <class T>
Outcome extract(Warp& warp, const Op& op, uint32_t mask) {
  auto* const d = warp.lanes<Lane<T>>(op.dst[0]);
  const auto* const a = warp.lanes<Lane<T>>(op.src[0]);
  const uint32_t* const positions = warp.lanes<uint32_t>(op.src[1]);
  const uint32_t* const lengths = warp.lanes<uint32_t>(op.src[2]);
  each_lane(mask, [=](uint32_t lane) {
    d[lane] = put<T>(Extract<T>::apply(get<T>(a[lane]), positions[lane], lengths[lane]));
  });
  return Outcome::next;
}

void decode_extract(Decoder& d) {
  const Type type = d.take_type();
  const uint32_t bits = 8 * ptx::size_of(type);
  d.expect_operands(4);
  d.add_destination(0, bits);
  d.add_source(1, bits);
  d.add_source(2, 32);
  d.add_source(3, 32);
  d.op.run = type == Type::u32   ? extract<uint32_t>
             : type == Type::s32 ? extract<int32_t>
             : type == Type::u64 ? extract<uint64_t>
             : type == Type::s64 ? extract<int64_t>
                                 : nullptr;
  if (d.op.run == nullptr) d.unsupported();
}

// prmt: bytes of b:a by the nibbles of c (9.7.9.7); kind: the mode.
uint32_t permute(uint32_t a, uint32_t b, uint32_t c, uint8_t mode) {
  const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t n = c & 3;
    uint32_t selector = 0;
    switch (mode) {
      case 0:
        selector = c >> (4 * i) & 15;
        break;
      case 1:  // .f4e
        selector = n + i;
        break;
      case 2:  // .b4e
        selector = (n - i) & 7;
        break;
      case 3:  // .rc8
        selector = n;
        break;
      case 4:  // .ecl
        selector = i < n ? n : i;
        break;
      case 5:  // .ecr
        selector = i < n ? i : n;
        break;
      default:  // .rc16
        selector = (n & 1) * 2 + (i & 1);
        break;
    }
    uint32_t byte = static_cast<uint32_t>(bytes >> (8 * (selector & 7))) & 0xff;
    if ((selector & 8) != 0) byte = (byte & 0x80) != 0 ? 0xff : 0;
    result |= byte << (8 * i);
  }
  return result;
}
Outcome permute_lanes(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  const uint32_t* const b = warp.lanes<uint32_t>(op.src[1]);
  const uint32_t* const c = warp.lanes<uint32_t>(op.src[2]);
  const uint8_t mode = op.kind;
  each_lane(mask, [=](uint32_t lane) { d[lane] = permute(a[lane], b[lane], c[lane], mode); });
  return Outcome::next;
}

// lop3: bit (a, b, c) of the table (9.7.8.2).
Outcome lop3(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  const uint32_t* const b = warp.lanes<uint32_t>(op.src[1]);
  const uint32_t* const c = warp.lanes<uint32_t>(op.src[2]);
  uint32_t terms[8];
  for (uint32_t i = 0; i < 8; ++i) terms[i] = (op.value >> i & 1) != 0 ? kAllLanes : 0;
  each_lane(mask, [=](uint32_t lane) {
    const uint32_t x = a[lane], y = b[lane], z = c[lane];
    d[lane] = (terms[0] & ~x & ~y & ~z) | (terms[1] & ~x & ~y & z) | (terms[2] & ~x & y & ~z) |
              (terms[3] & ~x & y & z) | (terms[4] & x & ~y & ~z) | (terms[5] & x & ~y & z) | (terms[6] & x & y & ~z) |
              (terms[7] & x & y & z);
  });
  return Outcome::next;
}

void decode_unary(Decoder& d, uint32_t bits, uint32_t result_bits) {
  d.expect_operands(2);
  d.add_destination(0, result_bits);
  d.add_source(1, bits);
}
void decode_ternary32(Decoder& d) {
  d.expect_operands(4);
  d.add_destination(0, 32);
  for (size_t i = 1; i < 4; ++i) d.add_source(i, 32);
}

}  // namespace

void add_bits(DecodeTable& table) {
  table["and"] = decode_logic<And, 0>;
  table["or"] = decode_logic<Or, 1>;
  table["xor"] = decode_logic<Xor, 2>;
  table["not"] = [](Decoder& d) {
    const Type type = d.take_type();
    const uint32_t bits = type == Type::pred ? 1 : 8 * ptx::size_of(type);
    decode_unary(d, bits, bits);
    d.op.run = type == Type::pred  ? logic_of_predicates<3>
               : type == Type::b16 ? unary<uint16_t, uint16_t, Not<uint16_t>>
               : type == Type::b32 ? unary<uint32_t, uint32_t, Not<uint32_t>>
               : type == Type::b64 ? unary<uint64_t, uint64_t, Not<uint64_t>>
                                   : nullptr;
    if (d.op.run == nullptr) d.unsupported();
  };
  table["cnot"] = [](Decoder& d) {
    const Type type = d.take_type();
    decode_unary(d, 8 * ptx::size_of(type), 8 * ptx::size_of(type));
    d.op.run = type == Type::b16 || type == Type::b32 ? unary<uint32_t, uint32_t, LogicalNot<uint32_t>>
               : type == Type::b64                    ? unary<uint64_t, uint64_t, LogicalNot<uint64_t>>
                                                      : nullptr;
    if (d.op.run == nullptr) d.unsupported();
  };
  table["shl"] = decode_shift<true>;
  table["shr"] = decode_shift<false>;
  table["shf"] = [](Decoder& d) {
    const bool left = d.take_one_of({"r", "l"}) == 1;
    const bool wrap = d.take_one_of({"clamp", "wrap"}) == 1;
    if (d.take_type() != Type::b32) d.unsupported();
    decode_ternary32(d);
    const auto of = [](auto funnel) -> Handler { return ternary<uint32_t, uint32_t, uint32_t, decltype(funnel)>; };
    d.op.run = left ? (wrap ? of(Funnel<true, true>()) : of(Funnel<true, false>()))
                    : (wrap ? of(Funnel<false, true>()) : of(Funnel<false, false>()));
  };
  table["popc"] = [](Decoder& d) {
    const Type type = d.take_type();
    if (type != Type::b32 && type != Type::b64) d.unsupported();
    decode_unary(d, 8 * ptx::size_of(type), 32);
    d.op.run = type == Type::b64 ? unary<uint32_t, uint64_t, Popcount64> : unary<uint32_t, uint32_t, Popcount32>;
  };
  table["clz"] = [](Decoder& d) {
    const Type type = d.take_type();
    if (type != Type::b32 && type != Type::b64) d.unsupported();
    decode_unary(d, 8 * ptx::size_of(type), 32);
    d.op.run =
        type == Type::b64 ? unary<uint32_t, uint64_t, LeadingZeros64> : unary<uint32_t, uint32_t, LeadingZeros32>;
  };
  table["brev"] = [](Decoder& d) {
    const Type type = d.take_type();
    if (type != Type::b32 && type != Type::b64) d.unsupported();
    decode_unary(d, 8 * ptx::size_of(type), 8 * ptx::size_of(type));
    d.op.run =
        type == Type::b64 ? unary<uint64_t, uint64_t, Reverse<uint64_t>> : unary<uint32_t, uint32_t, Reverse<uint32_t>>;
  };
  table["bfind"] = [](Decoder& d) {
    const bool shift = d.take("shiftamt");
    const Type type = d.take_type();
    decode_unary(d, 8 * ptx::size_of(type), 32);
    const auto pick = [&](auto* t) {
      using T = std::remove_pointer_t<decltype(t)>;
      d.op.run = shift ? unary<uint32_t, T, FindBit<T, true>> : unary<uint32_t, T, FindBit<T, false>>;
    };
    if (type == Type::u32) {
      pick(static_cast<uint32_t*>(nullptr));
    } else if (type == Type::s32) {
      pick(static_cast<int32_t*>(nullptr));
    } else if (type == Type::u64) {
      pick(static_cast<uint64_t*>(nullptr));
    } else if (type == Type::s64) {
      pick(static_cast<int64_t*>(nullptr));
    } else {
      d.unsupported();
    }
  };
  table["bfe"] = decode_extract;
  table["bfi"] = [](Decoder& d) {
    const Type type = d.take_type();
    if (type != Type::b32 && type != Type::b64) d.unsupported();
    d.expect_operands(5);
    d.add_destination(0, 8 * ptx::size_of(type));
    for (size_t i = 1; i < 5; ++i) d.add_source(i, i < 3 ? 8 * ptx::size_of(type) : 32);
    d.op.run = type == Type::b64 ? insert<uint64_t> : insert<uint32_t>;
  };
  table["prmt"] = [](Decoder& d) {
    if (d.take_type() != Type::b32) d.unsupported();
    const int mode = d.take_one_of({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"}, 6);
    d.op.kind = static_cast<uint8_t>(mode == 6 ? 0 : mode + 1);
    decode_ternary32(d);
    d.op.run = permute_lanes;
  };
  table["lop3"] = [](Decoder& d) {
    if (d.take_type() != Type::b32) d.unsupported();
    d.expect_operands(5);
    d.add_destination(0, 32);
    for (size_t i = 1; i < 4; ++i) d.add_source(i, 32);
    d.op.value = d.immediate(d.operand(4));
    if (d.op.value < 0 || d.op.value > 255) d.fail("the table is not from 0 to 255");
    d.op.run = lop3;
  };
}

}  // namespace emulator::machine
