// atom and red (PTX ISA 9.0, sections 9.7.13.5 and 9.7.13.7).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "machine/access.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "machine/number.h"

namespace emulator::machine {
namespace {

using ptx::Space;
using ptx::Type;

enum Kind : uint8_t { kAnd, kOr, kXor, kExch, kAdd, kInc, kDec, kMin, kMax, kCas };

template <class T>
T signed_extreme(bool max, T a, T b) {
  return max ? std::max(a, b) : std::min(a, b);
}

uint32_t add_halves(uint32_t a, uint32_t b, bool bf) {
  const auto value = [&](uint32_t bits) {
    return static_cast<double>(bf ? bfloat16_to_float(bits & 0xffff) : half_to_float(bits));
  };
  const double sum = add_to_odd(value(a), value(b));
  return sum != sum ? 0x7fff : encode(sum, bf ? kBfloat16 : kHalf, Rounding::nearest);
}

uint64_t sum_of(Type type, uint64_t a, uint64_t b) {
  switch (type) {
    case Type::f32:
      return put(get<float>(static_cast<uint32_t>(a)) + get<float>(static_cast<uint32_t>(b)));
    case Type::f64:
      return put(get<double>(a) + get<double>(b));
    case Type::f16:
    case Type::bf16:
      return add_halves(static_cast<uint32_t>(a), static_cast<uint32_t>(b), type == Type::bf16);
    case Type::f16x2:
    case Type::bf16x2: {
      const bool bf = type == Type::bf16x2;
      return add_halves(static_cast<uint32_t>(a & 0xffff), static_cast<uint32_t>(b & 0xffff), bf) |
             add_halves(static_cast<uint32_t>(a >> 16 & 0xffff), static_cast<uint32_t>(b >> 16 & 0xffff), bf) << 16;
    }
    default:
      return a + b;
  }
}

uint64_t combined(uint8_t kind, Type type, uint64_t old, uint64_t b, uint64_t c) {
  switch (kind) {
    case kAnd:
      return old & b;
    case kOr:
      return old | b;
    case kXor:
      return old ^ b;
    case kExch:
      return b;
    case kAdd:
      return sum_of(type, old, b);
    case kInc:
      return old >= b ? 0 : old + 1;
    case kDec:
      return old == 0 || old > b ? b : old - 1;
    case kCas:
      return old == b ? c : old;
    default:
      if (type == Type::s32) {
        return static_cast<uint32_t>(signed_extreme(kind == kMax, static_cast<int32_t>(old), static_cast<int32_t>(b)));
      }
      if (type == Type::s64) {
        return static_cast<uint64_t>(signed_extreme(kind == kMax, static_cast<int64_t>(old), static_cast<int64_t>(b)));
      }
      return signed_extreme(kind == kMax, old, b);
  }
}

// Lanes one after the other.
Outcome atomic(Warp& warp, const Op& op, uint32_t mask) {
  const uint32_t size = ptx::size_of(op.type);
  LaunchState& launch = warp.cta->launch();
  const auto value = [&](Slot slot, uint32_t lane) {
    return size == 8 ? warp.lanes<uint64_t>(slot)[lane] : uint64_t{warp.lanes<uint32_t>(slot)[lane]};
  };
  Touches touches;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t address = warp.address(op, lane);
    const Place place = find_place(warp, op, lane, op.space, address, size, Use::write);
    if (launch.options.checks) {
      check_initialised(warp, op, place, size);
      touches.add(lane, place, address);
    }
    uint64_t old = 0;
    std::memcpy(&old, place.bytes, size);
    const uint64_t next =
        combined(op.kind, op.type, old, value(op.src[1], lane), op.sources > 2 ? value(op.src[2], lane) : 0);
    std::memcpy(place.bytes, &next, size);
    if (next != old) launch.last_progress = launch.counters.warp_instructions;
    if (op.results != 0) {
      size == 8 ? warp.lanes<uint64_t>(op.dst[0])[lane] = old
                : warp.lanes<uint32_t>(op.dst[0])[lane] = static_cast<uint32_t>(old);
    }
  }
  if (touches.mask != 0) track_atomics(warp, op, touches, size);
  // Others get their turn, as a loop over an atomic may be waiting for them.
  return Outcome::yield;
}

void check_type(Decoder& d, Type type) {
  const bool sum_of_floats = ptx::is_float(type);
  bool good = false;
  switch (d.op.kind) {
    case kAnd:
    case kOr:
    case kXor:
      good = type == Type::b32 || type == Type::b64;
      break;
    case kExch:
    case kCas:
      good = type == Type::b32 || type == Type::b64 || (d.op.kind == kCas && type == Type::b16);
      break;
    case kAdd:
      good = sum_of_floats || type == Type::u32 || type == Type::s32 || type == Type::u64;
      break;
    case kInc:
    case kDec:
      good = type == Type::u32;
      break;
    default:
      good = type == Type::u32 || type == Type::s32 || type == Type::u64 || type == Type::s64;
  }
  if (!good) d.unsupported();
}

void decode_atomic(Decoder& d, bool returns) {
  d.take_order(true);
  constexpr Space kSpaces[] = {Space::global, Space::shared, Space::shared, Space::shared, Space::generic};
  d.op.space = kSpaces[d.take_one_of({"global", "shared", "shared::cta", "shared::cluster"}, 4)];
  d.op.kind =
      static_cast<uint8_t>(d.take_one_of({"and", "or", "xor", "exch", "add", "inc", "dec", "min", "max", "cas"}));
  d.take("noftz");
  const Type type = d.take_type();
  check_type(d, type);
  if (!returns && (d.op.kind == kExch || d.op.kind == kCas)) d.unsupported();
  d.op.type = type;
  const uint32_t bits = 8 * ptx::size_of(type);
  const size_t first = returns ? 1 : 0;
  d.expect_operands(first + (d.op.kind == kCas ? 3 : 2));
  if (returns && d.operand(0).kind != ptx::Operand::Kind::sink) d.add_destination(0, bits);
  d.add_address(first);
  d.add_source(first + 1, bits);
  if (d.op.kind == kCas) d.add_source(first + 2, bits);
  d.op.run = atomic;
}

}  // namespace

void add_atomics(DecodeTable& table) {
  table["atom"] = [](Decoder& d) { decode_atomic(d, true); };
  table["red"] = [](Decoder& d) { decode_atomic(d, false); };
}

}  // namespace emulator::machine
