// Instructions in which the lanes of a warp see each other (PTX ISA 9.0, sections 9.7.9.6 and 9.7.13.9 to 9.7.13.14).
#include <algorithm>
#include <bit>
#include <cstring>

#include "machine/cta.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Operand;
using ptx::Type;

void set_members(Decoder& d, size_t operand) {
  d.op.src[5] = d.source(d.operand(operand), 32);
  d.op.gather = Gather::members;
}

// kind: 0 up, 1 down, 2 bfly, 3 idx.
Outcome shuffle(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t in[kLanes];
  std::memcpy(in, warp.lanes<uint32_t>(op.src[0]), sizeof(in));
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  // Of the value, what counts is the lane that it comes from.
  const uint32_t valued = warp.written(op.src[0]);
  uint32_t undefined = mask & ~(warp.written(op.src[1]) & warp.written(op.src[2]));
  uint32_t good = 0;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint32_t b = warp.lanes<uint32_t>(op.src[1])[lane] & 31;
    const uint32_t c = warp.lanes<uint32_t>(op.src[2])[lane];
    const uint32_t segment = c >> 8 & 31, clamp = c & 31;
    const uint32_t last = (lane & segment) | (clamp & ~segment), first = lane & segment;
    int64_t from = 0;
    bool in_range = false;
    switch (op.kind) {
      case 0:
        from = static_cast<int64_t>(lane) - b;
        in_range = from >= static_cast<int64_t>(last);
        break;
      case 1:
        from = lane + b;
        in_range = from <= static_cast<int64_t>(last);
        break;
      case 2:
        from = lane ^ b;
        in_range = from <= static_cast<int64_t>(last);
        break;
      default:
        from = first | (b & ~segment);
        in_range = from <= static_cast<int64_t>(last);
    }
    if (!in_range) from = lane;
    if ((mask >> from & 1) == 0) {
      warp.fault(op, Finding::operand, format("lane {} reads lane {}, which does not take part", lane, from));
    }
    d[lane] = in[from];
    undefined |= (~valued >> from & 1) << lane;
    good |= static_cast<uint32_t>(in_range) << lane;
  }
  if (op.results == 2) {
    uint32_t& p = warp.predicate(op.dst[1]);
    p = (good & mask) | (p & ~mask);
  }
  if (warp.cta->launch().options.checks) warp.undefined = undefined;
  return Outcome::next;
}

// kind: 0 all, 1 any, 2 uni, 3 ballot.
Outcome vote(Warp& warp, const Op& op, uint32_t mask) {
  const uint32_t p = (warp.predicate(op.src[0]) ^ (op.flags != 0 ? kAllLanes : 0)) & mask;
  if (op.kind == 3) {
    uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
    each_lane(mask, [=](uint32_t lane) { d[lane] = p; });
  } else {
    const bool result = op.kind == 0 ? p == mask : op.kind == 1 ? p != 0 : p == mask || p == 0;
    uint32_t& d = warp.predicate(op.dst[0]);
    d = (result ? mask : 0) | (d & ~mask);
  }
  return Outcome::next;
}

Outcome elect(Warp& warp, const Op& op, uint32_t mask) {
  const auto leader = static_cast<uint32_t>(std::countr_zero(mask));
  uint32_t& p = warp.predicate(op.dst[0]);
  p = (1u << leader) | (p & ~mask);
  if (op.results == 2) {
    uint32_t* const d = warp.lanes<uint32_t>(op.dst[1]);
    each_lane(mask, [=](uint32_t lane) { d[lane] = leader; });
  }
  return Outcome::next;
}

Outcome active_mask(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  each_lane(mask, [=](uint32_t lane) { d[lane] = mask; });
  return Outcome::next;
}

// kind: 0 add, 1 min, 2 max, 3 and, 4 or, 5 xor; flags 1: signed.
Outcome reduce(Warp& warp, const Op& op, uint32_t mask) {
  const uint32_t* const a = warp.lanes<uint32_t>(op.src[0]);
  uint32_t result = a[std::countr_zero(mask)];
  for (uint32_t rest = mask & (mask - 1); rest != 0; rest &= rest - 1) {
    const uint32_t value = a[std::countr_zero(rest)];
    const bool less = op.flags != 0 ? static_cast<int32_t>(value) < static_cast<int32_t>(result) : value < result;
    switch (op.kind) {
      case 0:
        result += value;
        break;
      case 1:
        result = less ? value : result;
        break;
      case 2:
        result = less ? result : value;
        break;
      case 3:
        result &= value;
        break;
      case 4:
        result |= value;
        break;
      default:
        result ^= value;
    }
  }
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  each_lane(mask, [=](uint32_t lane) { d[lane] = result; });
  return Outcome::next;
}

// kind 0: the lanes with the same value; 1: all lanes if they all have it, else none, and whether they do.
template <class T>
Outcome match(Warp& warp, const Op& op, uint32_t mask) {
  const T* const a = warp.lanes<T>(op.src[0]);
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  uint32_t same[kLanes] = {};
  bool all = true;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    same[lane] = lanes_where(mask, 0, [&](uint32_t other) { return a[other] == a[lane]; });
    all &= same[lane] == mask;
  }
  each_lane(mask, [&](uint32_t lane) { d[lane] = op.kind == 0 ? same[lane] : all ? mask : 0; });
  if (op.results == 2) {
    uint32_t& p = warp.predicate(op.dst[1]);
    p = (all ? mask : 0) | (p & ~mask);
  }
  return Outcome::next;
}

Outcome synchronise(Warp&, const Op&, uint32_t) {
  return Outcome::next;
}

/// The first operand: a value, or a value and a predicate.
void add_value_and_predicate(Decoder& d) {
  const Operand& result = d.operand(0);
  if (result.kind == Operand::Kind::pair) {
    d.op.dst[0] = d.destination(result.parts[0], 32);
    d.op.dst[1] = d.destination(result.parts[1], 1);
    d.op.results = 2;
    if (d.op.dst[0] == kNoSlot || d.op.dst[1] == kNoSlot) d.unsupported();
  } else {
    d.add_destination(0, 32);
  }
}

void decode_shuffle(Decoder& d) {
  if (!d.take("sync")) d.unsupported();
  d.op.kind = static_cast<uint8_t>(d.take_one_of({"up", "down", "bfly", "idx"}));
  if (d.take_type() != Type::b32) d.unsupported();
  d.expect_operands(5);
  add_value_and_predicate(d);
  for (size_t i = 1; i < 4; ++i) d.add_source(i, 32);
  set_members(d, 4);
  d.op.run = shuffle;
}

void decode_vote(Decoder& d) {
  if (!d.take("sync")) d.unsupported();
  d.op.kind = static_cast<uint8_t>(d.take_one_of({"all", "any", "uni", "ballot"}));
  const Type type = d.take_type();
  if (type != (d.op.kind == 3 ? Type::b32 : Type::pred)) d.unsupported();
  d.expect_operands(3);
  d.add_destination(0, d.op.kind == 3 ? 32 : 1);
  d.add_source(1, 1);
  d.op.flags = d.operand(1).negated ? 1 : 0;
  set_members(d, 2);
  d.op.run = vote;
}

void decode_match(Decoder& d) {
  d.op.kind = static_cast<uint8_t>(d.take_one_of({"any", "all"}));
  if (!d.take("sync")) d.unsupported();
  const Type type = d.take_type();
  if (type != Type::b32 && type != Type::b64) d.unsupported();
  d.expect_operands(3);
  if (d.op.kind == 0 && d.operand(0).kind == Operand::Kind::pair) d.fail("match.any has one result");
  add_value_and_predicate(d);
  d.add_source(1, type == Type::b64 ? 64 : 32);
  set_members(d, 2);
  d.op.run = type == Type::b64 ? match<uint64_t> : match<uint32_t>;
}

void decode_elect(Decoder& d) {
  if (!d.take("sync")) d.unsupported();
  d.expect_operands(2);
  const Operand& result = d.operand(0);
  if (result.kind != Operand::Kind::pair) d.fail("a result of the form d|p is expected");
  d.op.dst[0] = d.destination(result.parts[1], 1);
  d.op.dst[1] = d.destination(result.parts[0], 32);
  if (d.op.dst[0] == kNoSlot) d.unsupported();
  d.op.results = d.op.dst[1] == kNoSlot ? 1 : 2;
  set_members(d, 1);
  d.op.run = elect;
}

void decode_reduce(Decoder& d) {
  if (!d.take("sync")) d.unsupported();
  d.op.kind = static_cast<uint8_t>(d.take_one_of({"add", "min", "max", "and", "or", "xor"}));
  const Type type = d.take_type();
  if (d.op.kind < 3 ? type != Type::u32 && type != Type::s32 : type != Type::b32) d.unsupported();
  d.op.flags = type == Type::s32 ? 1 : 0;
  d.expect_operands(3);
  d.add_destination(0, 32);
  d.add_source(1, 32);
  set_members(d, 2);
  d.op.run = reduce;
}

}  // namespace

void decode_warp_barrier(Decoder& d) {
  if (!d.take("warp") || !d.take("sync")) d.unsupported();
  d.expect_operands(1);
  set_members(d, 0);
  d.op.run = synchronise;
}

void add_warp(DecodeTable& table) {
  table["shfl"] = decode_shuffle;
  table["vote"] = decode_vote;
  table["match"] = decode_match;
  table["elect"] = decode_elect;
  table["redux"] = decode_reduce;
  table["activemask"] = [](Decoder& d) {
    if (d.take_type() != Type::b32) d.unsupported();
    d.expect_operands(1);
    d.add_destination(0, 32);
    d.op.run = active_mask;
  };
}

}  // namespace emulator::machine
