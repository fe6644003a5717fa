// setp, set, selp, slct, testp (PTX ISA 9.0, sections 9.7.6 and 9.7.7).
#include <cmath>

#include "machine/decoder.h"
#include "machine/lanes.h"
#include "machine/number.h"

namespace emulator::machine {
namespace {

using ptx::Type;

enum Comparison : uint8_t {
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kLo,
  kLs,
  kHi,
  kHs,
  kEqu,
  kNeu,
  kLtu,
  kLeu,
  kGtu,
  kGeu,
  kNum,
  kNan
};
enum Flag : uint32_t { kFtz = 1, kBf = 2, kNegated = 4, kCombined = 8 };  // bits 4 and 5: and, or, xor

template <class T>
uint32_t compare_all(Warp& warp, const Op& op, uint32_t mask) {
  const auto* const a = warp.lanes<Lane<T>>(op.src[0]);
  const auto* const b = warp.lanes<Lane<T>>(op.src[1]);
  const auto value = [&](Lane<T> bits) {
    if constexpr (std::is_same_v<T, float>) {
      return (op.flags & kFtz) != 0 ? flush(get<float>(bits)) : get<float>(bits);
    } else {
      return get<T>(bits);
    }
  };
  const auto where = [&](auto test) {
    return lanes_where(mask, 0, [&](uint32_t lane) { return test(value(a[lane]), value(b[lane])); });
  };
  switch (op.kind) {
    case kEq:
      return where([](T x, T y) { return x == y; });
    case kNe:  // false for NaN, where `!=` is true
      return where([](T x, T y) { return x < y || x > y; });
    case kLt:
    case kLo:
      return where([](T x, T y) { return x < y; });
    case kLe:
    case kLs:
      return where([](T x, T y) { return x <= y; });
    case kGt:
    case kHi:
      return where([](T x, T y) { return x > y; });
    case kGe:
    case kHs:
      return where([](T x, T y) { return x >= y; });
    case kEqu:
      return where([](T x, T y) { return !(x < y || x > y); });
    case kNeu:
      return where([](T x, T y) { return x != y; });
    case kLtu:
      return where([](T x, T y) { return !(x >= y); });
    case kLeu:
      return where([](T x, T y) { return !(x > y); });
    case kGtu:
      return where([](T x, T y) { return !(x <= y); });
    case kGeu:
      return where([](T x, T y) { return !(x < y); });
    case kNum:
      return where([](T x, T y) { return x == x && y == y; });
    default:
      return where([](T x, T y) { return x != x || y != y; });
  }
}

/// Halves are compared as the floats that they are.
uint32_t compare_halves(Warp& warp, const Op& op, uint32_t mask) {
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  const uint32_t* const b = warp.lanes<uint32_t>(op.src[1]);
  const auto value = [&](uint32_t bits) {
    if ((op.flags & kFtz) != 0 && (bits & 0x7c00u) == 0) bits &= 0x8000u;
    return (op.flags & kBf) != 0 ? bfloat16_to_float(bits) : half_to_float(bits);
  };
  return lanes_where(mask, 0, [&](uint32_t lane) {
    const float x = value(a[lane]), y = value(b[lane]);
    const bool nan = x != x || y != y;
    const bool unordered = op.kind >= kEqu;
    if (op.kind >= kNum) return (op.kind == kNan) == nan;
    if (nan) return unordered;
    switch (unordered ? op.kind - kEqu : op.kind) {
      case kEq:
        return x == y;
      case kNe:
        return x != y;
      case kLt:
        return x < y;
      case kLe:
        return x <= y;
      case kGt:
        return x > y;
      default:
        return x >= y;
    }
  });
}

uint32_t combine(Warp& warp, const Op& op, uint32_t result) {
  if ((op.flags & kCombined) == 0) return result;
  const uint32_t c = warp.predicate(op.src[2]) ^ ((op.flags & kNegated) != 0 ? kAllLanes : 0);
  const uint32_t how = op.flags >> 4 & 3;
  return how == 0 ? result & c : how == 1 ? result | c : result ^ c;
}

using CompareAll = uint32_t (*)(Warp&, const Op&, uint32_t);

template <CompareAll kCompare>
Outcome setp(Warp& warp, const Op& op, uint32_t mask) {
  const uint32_t result = kCompare(warp, op, mask);
  const auto store = [&](Slot slot, uint32_t value) {
    uint32_t& d = warp.predicate(slot);
    d = (value & mask) | (d & ~mask);
  };
  const uint32_t first = combine(warp, op, result);
  const uint32_t second = op.results == 2 ? combine(warp, op, ~result) : 0;
  store(op.dst[0], first);
  if (op.results == 2) store(op.dst[1], second);
  return Outcome::next;
}

// set: all ones, or 1.0f where the result is f32 (op.value).
template <CompareAll kCompare>
Outcome set(Warp& warp, const Op& op, uint32_t mask) {
  const uint32_t result = combine(warp, op, kCompare(warp, op, mask));
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  const auto yes = static_cast<uint32_t>(op.value);
  each_lane(mask, [=](uint32_t lane) { d[lane] = (result >> lane & 1) != 0 ? yes : 0; });
  return Outcome::next;
}

template <template <CompareAll> class Pick>
Handler by_type(Decoder& d, Type type) {
  switch (type) {
    case Type::b16:
    case Type::u16:
      return Pick<compare_all<uint16_t>>::handler();
    case Type::s16:
      return Pick<compare_all<int16_t>>::handler();
    case Type::b32:
    case Type::u32:
      return Pick<compare_all<uint32_t>>::handler();
    case Type::s32:
      return Pick<compare_all<int32_t>>::handler();
    case Type::b64:
    case Type::u64:
      return Pick<compare_all<uint64_t>>::handler();
    case Type::s64:
      return Pick<compare_all<int64_t>>::handler();
    case Type::f32:
      return Pick<compare_all<float>>::handler();
    case Type::f64:
      return Pick<compare_all<double>>::handler();
    case Type::f16:
    case Type::bf16:
      return Pick<compare_halves>::handler();
    default:
      d.unsupported();
  }
}
template <CompareAll kCompare>
struct PickSetp {
  static Handler handler() { return setp<kCompare>; }
};
template <CompareAll kCompare>
struct PickSet {
  static Handler handler() { return set<kCompare>; }
};

void decode_comparison(Decoder& d, bool to_predicate) {
  d.op.kind = static_cast<uint8_t>(d.take_one_of({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ",
                                                  "neu", "ltu", "leu", "gtu", "geu", "num", "nan"}));
  const int how = d.take_one_of({"and", "or", "xor"}, 3);
  if (d.take("ftz")) d.op.flags |= kFtz;
  const Type result = to_predicate ? Type::pred : d.take_type();
  const Type type = d.take_type();
  const uint32_t bits = 8 * ptx::size_of(type);
  if (!ptx::is_float(type) && d.op.kind >= kEqu) d.fail("an unordered comparison of integers");
  const bool bits_only = type == Type::b16 || type == Type::b32 || type == Type::b64;
  if (bits_only && d.op.kind > kNe) d.fail("bits are compared with eq and ne only");
  if (ptx::is_float(type) && d.op.kind >= kLo && d.op.kind <= kHs)
    d.fail("lo, ls, hi and hs compare unsigned integers");
  if (type == Type::bf16) d.op.flags |= kBf;
  d.expect_operands(how == 3 ? 3 : 4);
  if (to_predicate) {
    if (d.operand(0).kind == ptx::Operand::Kind::pair) {
      for (const ptx::Operand& part : d.operand(0).parts) {
        const Slot slot = d.destination(part, 1);
        if (slot == kNoSlot) d.fail("a predicate is missing");
        d.op.dst[d.op.results++] = slot;
      }
    } else {
      d.add_destination(0, 1);
    }
    d.op.run = by_type<PickSetp>(d, type);
  } else {
    if (result != Type::u32 && result != Type::s32 && result != Type::f32) d.unsupported();
    d.op.value = result == Type::f32 ? 0x3f800000 : 0xffffffffll;
    d.add_destination(0, 32);
    d.op.run = by_type<PickSet>(d, type);
  }
  d.add_source(1, bits);
  d.add_source(2, bits);
  if (how != 3) {
    d.op.flags |= kCombined | static_cast<uint32_t>(how) << 4;
    if (d.operand(3).negated) d.op.flags |= kNegated;
    d.add_source(3, 1);
  }
}

template <class T>
Outcome select(Warp& warp, const Op& op, uint32_t mask) {
  T* const d = warp.lanes<T>(op.dst[0]);
  const T* const a = warp.lanes<T>(op.src[0]);
  const T* const b = warp.lanes<T>(op.src[1]);
  const uint32_t p = warp.predicate(op.src[2]);
  each_lane(mask, [=](uint32_t lane) { d[lane] = (p >> lane & 1) != 0 ? a[lane] : b[lane]; });
  return Outcome::next;
}

// slct: a where c >= 0, else b; a NaN takes b (9.7.6.4).
template <class T, bool kFloat>
Outcome select_by_sign(Warp& warp, const Op& op, uint32_t mask) {
  T* const d = warp.lanes<T>(op.dst[0]);
  const T* const a = warp.lanes<T>(op.src[0]);
  const T* const b = warp.lanes<T>(op.src[1]);
  const uint32_t* const c = warp.lanes<uint32_t>(op.src[2]);
  const bool ftz = (op.flags & kFtz) != 0;
  each_lane(mask, [=](uint32_t lane) {
    const float real = ftz ? flush(get<float>(c[lane])) : get<float>(c[lane]);
    const bool first = kFloat ? real >= 0 : static_cast<int32_t>(c[lane]) >= 0;
    d[lane] = first ? a[lane] : b[lane];
  });
  return Outcome::next;
}

}  // namespace

void add_compare(DecodeTable& table) {
  table["setp"] = [](Decoder& d) { decode_comparison(d, true); };
  table["set"] = [](Decoder& d) { decode_comparison(d, false); };
  table["selp"] = [](Decoder& d) {
    const Type type = d.take_type();
    const uint32_t bits = 8 * ptx::size_of(type);
    if (type == Type::pred || bits > 64 || bits < 16) d.unsupported();
    d.expect_operands(4);
    d.add_destination(0, bits);
    d.add_source(1, bits);
    d.add_source(2, bits);
    d.add_source(3, 1);
    if (d.operand(3).negated) d.unsupported();
    d.op.run = bits == 64 ? select<uint64_t> : select<uint32_t>;
  };
  table["slct"] = [](Decoder& d) {
    if (d.take("ftz")) d.op.flags |= kFtz;
    const Type type = d.take_type(), sign = d.take_type();
    const uint32_t bits = 8 * ptx::size_of(type);
    if (bits < 16 || bits > 64 || (sign != Type::s32 && sign != Type::f32)) d.unsupported();
    d.expect_operands(4);
    d.add_destination(0, bits);
    d.add_source(1, bits);
    d.add_source(2, bits);
    d.add_source(3, 32);
    const bool real = sign == Type::f32;
    d.op.run = bits == 64 ? (real ? select_by_sign<uint64_t, true> : select_by_sign<uint64_t, false>)
                          : (real ? select_by_sign<uint32_t, true> : select_by_sign<uint32_t, false>);
  };
}

}  // namespace emulator::machine
