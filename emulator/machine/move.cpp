// mov with its vectors, addresses between state spaces, ranks (PTX ISA 9.0, sections 9.7.9.5 to 9.7.9.20).
#include <algorithm>

#include "machine/address.h"
#include "machine/cta.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

template <class T>
Outcome copy(Warp& warp, const Op& op, uint32_t mask) {
  T* const d = warp.lanes<T>(op.dst[0]);
  const T* const a = warp.lanes<T>(op.src[0]);
  each_lane(mask, [=](uint32_t lane) { d[lane] = a[lane]; });
  return Outcome::next;
}

Outcome copy_predicate(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t& d = warp.predicate(op.dst[0]);
  d = (warp.predicate(op.src[0]) & mask) | (d & ~mask);
  return Outcome::next;
}

// A vector's first element is the lowest; op.value: bits of an element.
template <class Whole>
Outcome pack(Warp& warp, const Op& op, uint32_t mask) {
  for (uint32_t i = 0; i < op.sources; ++i) {
    const uint32_t* const a = warp.lanes<uint32_t>(op.src[i]);
    Whole* const d = warp.lanes<Whole>(op.dst[0]);
    const auto shift = static_cast<uint32_t>(op.value) * i;
    each_lane(mask, [=](uint32_t lane) { d[lane] = (i == 0 ? 0 : d[lane]) | static_cast<Whole>(a[lane]) << shift; });
  }
  return Outcome::next;
}

template <class Whole>
Outcome unpack(Warp& warp, const Op& op, uint32_t mask) {
  const Whole* const a = warp.lanes<Whole>(op.src[0]);
  const auto bits = static_cast<uint32_t>(op.value);
  for (uint32_t i = 0; i < op.list.size(); ++i) {
    if (op.list[i] == kNoSlot) continue;
    uint32_t* const d = warp.lanes<uint32_t>(op.list[i]);
    const uint32_t ones = bits == 32 ? UINT32_MAX : (1u << bits) - 1;
    each_lane(mask, [=](uint32_t lane) { d[lane] = static_cast<uint32_t>(a[lane] >> (bits * i)) & ones; });
    warp.mark_written(op.list[i], mask);
  }
  return Outcome::next;
}

// %clock, %clock64, %globaltimer: a count of turns, only ever growing.
template <class T>
Outcome read_time(Warp& warp, const Op& op, uint32_t mask) {
  T* const d = warp.lanes<T>(op.dst[0]);
  const auto now = static_cast<T>(warp.cta->cluster->tick() * 64);
  each_lane(mask, [=](uint32_t lane) { d[lane] = now; });
  return Outcome::yield;
}

void decode_vector_move(Decoder& d, uint32_t bits) {
  const bool into_vector = d.operand(0).kind == Operand::Kind::list;
  const Operand& vector = d.operand(into_vector ? 0 : 1);
  const size_t count = vector.parts.size();
  if (count != 2 && count != 4) d.fail(format("a vector of {} elements", count));
  const uint32_t element = bits / static_cast<uint32_t>(count);
  if (element < 8 || element > 32) d.unsupported();
  d.op.value = element;
  if (into_vector) {
    for (const Operand& part : vector.parts) d.op.list.push_back(d.destination(part, element));
    d.add_source(1, bits);
    d.op.run = bits == 64 ? unpack<uint64_t> : unpack<uint32_t>;
  } else {
    d.add_destination(0, bits);
    for (const Operand& part : vector.parts) d.op.src[d.op.sources++] = d.source(part, element);
    if (std::find(d.op.src.begin(), d.op.src.begin() + d.op.sources, d.op.dst[0]) != d.op.src.begin() + d.op.sources) {
      d.fail("the destination is one of the elements");
    }
    d.op.run = bits == 64 ? pack<uint64_t> : pack<uint32_t>;
  }
}

void decode_mov(Decoder& d) {
  const Type type = d.take_type();
  d.expect_operands(2);
  if (type == Type::pred) {
    d.add_destination(0, 1);
    d.add_source(1, 1);
    d.op.run = copy_predicate;
    return;
  }
  const uint32_t bits = 8 * ptx::size_of(type);
  if (bits > 64 || bits < 16) d.unsupported();
  if (d.operand(0).kind == Operand::Kind::list || d.operand(1).kind == Operand::Kind::list) {
    return decode_vector_move(d, bits);
  }
  d.add_destination(0, bits);
  const Operand& from = d.operand(1);
  if (from.kind == Operand::Kind::special && (from.name == "%clock" || from.name == "%clock64" ||
                                              from.name == "%globaltimer" || from.name == "%globaltimer_lo")) {
    d.op.run = bits == 64 ? read_time<uint64_t> : read_time<uint32_t>;
    return;
  }
  d.add_source(1, bits);
  d.op.run = bits == 64 ? copy<uint64_t> : copy<uint32_t>;
}

Space take_space(Decoder& d) {
  const int space =
      d.take_one_of({"shared", "shared::cta", "shared::cluster", "local", "param", "param::entry", "global", "const"});
  constexpr Space kSpaces[] = {Space::shared, Space::shared, Space::shared, Space::local,
                               Space::param,  Space::param,  Space::global, Space::constant};
  return kSpaces[space];
}

uint64_t window(Space space) {
  return space == Space::shared  ? kSharedWindow
         : space == Space::local ? kLocalWindow
         : space == Space::param ? kParameterWindow
                                 : 0;
}

/// Window addresses are the address in the space with a bit pattern above: or-ing and cutting off convert.
template <class D, class A>
Outcome convert_address(Warp& warp, const Op& op, uint32_t mask) {
  D* const d = warp.lanes<D>(op.dst[0]);
  const A* const a = warp.lanes<A>(op.src[0]);
  const auto above = static_cast<uint64_t>(op.value);
  const bool cut = op.kind != 0;
  each_lane(mask, [=](uint32_t lane) {
    const auto address = static_cast<uint64_t>(a[lane]);
    d[lane] = static_cast<D>(cut ? address & 0xffffffffull : address | above);
  });
  return Outcome::next;
}

template <class A>
Outcome is_space(Warp& warp, const Op& op, uint32_t mask) {
  const A* const a = warp.lanes<A>(op.src[0]);
  const auto above = static_cast<uint64_t>(op.value);
  uint32_t& d = warp.predicate(op.dst[0]);
  d = lanes_where(mask, d,
                  [&](uint32_t lane) { return above != 0 ? window_of(a[lane]) == above : a[lane] >= kDeviceStart; });
  return Outcome::next;
}

// mapa: the address of the same variable in the CTA of rank src[1]; kind 1: generic addresses.
template <class T>
Outcome map_address(Warp& warp, const Op& op, uint32_t mask) {
  T* const d = warp.lanes<T>(op.dst[0]);
  const T* const a = warp.lanes<T>(op.src[0]);
  const uint32_t* const rank = warp.lanes<uint32_t>(op.src[1]);
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    if (rank[lane] >= warp.cta->cluster->ctas.size()) {
      warp.fault(op, Finding::operand,
                 format("rank {} in a cluster of {}", rank[lane], warp.cta->cluster->ctas.size()));
    }
    d[lane] = static_cast<T>((a[lane] & ~(static_cast<T>(0xff) << kRankShift)) | static_cast<T>(rank[lane] + 1)
                                                                                     << kRankShift);
  }
  return Outcome::next;
}

Outcome rank_of_address(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const auto rank = static_cast<uint32_t>(warp.address(op, lane) >> kRankShift & 0xff);
    d[lane] = rank == 0 ? warp.cta->rank : rank - 1;
  }
  return Outcome::next;
}

}  // namespace

Slot Decoder::special(const std::string& name, uint32_t bits) {
  constexpr std::string_view kPlain[] = {
      "%laneid",          "%warpid",           "%nwarpid",           "%nsmid",          "%smid",
      "%lanemask_eq",     "%lanemask_lt",      "%lanemask_le",       "%lanemask_gt",    "%lanemask_ge",
      "%cluster_ctarank", "%cluster_nctarank", "%dynamic_smem_size", "%total_smem_size"};
  constexpr std::string_view kVectors[] = {"%tid.",       "%ntid.",       "%ctaid.",         "%nctaid.",
                                           "%clusterid.", "%nclusterid.", "%cluster_ctaid.", "%cluster_nctaid."};
  bool known = std::find(std::begin(kPlain), std::end(kPlain), name) != std::end(kPlain);
  for (const std::string_view vector : kVectors) {
    known |= name.size() == vector.size() + 1 && name.starts_with(vector) && name.back() >= 'x' && name.back() <= 'z';
  }
  if (!known) fail(format("special register {} is not supported", name));
  if (bits != 32) fail(format("{} has 32 bits", name));
  const auto found = specials_.find(name);
  if (found != specials_.end()) return found->second;
  const Slot slot = new_slot(false);
  specials_.emplace(name, slot);
  program_.specials.push_back({slot, name});
  return slot;
}

void add_move(DecodeTable& table) {
  table["mov"] = decode_mov;
  table["cvta"] = [](Decoder& d) {
    const bool to = d.take("to");
    const Space space = take_space(d);
    const Type type = d.take_type();
    if (type != Type::u64) d.unsupported();
    d.expect_operands(2);
    d.add_destination(0, 64);
    d.add_source(1, 64);
    d.op.value = static_cast<int64_t>(window(space));
    d.op.kind = to && window(space) != 0 ? 1 : 0;
    d.op.run = convert_address<uint64_t, uint64_t>;
  };
  table["isspacep"] = [](Decoder& d) {
    const Space space = take_space(d);
    if (space == Space::constant) d.unsupported();
    d.expect_operands(2);
    d.add_destination(0, 1);
    d.add_source(1, 64);
    d.op.value = static_cast<int64_t>(window(space));
    d.op.run = is_space<uint64_t>;
  };
  table["mapa"] = [](Decoder& d) {
    const bool shared = d.take("shared::cluster");
    const Type type = d.take_type();
    if (type != Type::u32 && type != Type::u64) d.unsupported();
    if (!shared && type == Type::u32) d.unsupported();
    d.expect_operands(3);
    d.add_destination(0, 8 * ptx::size_of(type));
    d.add_source(1, 8 * ptx::size_of(type));
    d.add_source(2, 32);
    d.op.run = type == Type::u64 ? map_address<uint64_t> : map_address<uint32_t>;
  };
  table["getctarank"] = [](Decoder& d) {
    d.take("shared::cluster");
    const Type type = d.take_type();
    if (type != Type::u32 && type != Type::u64) d.unsupported();
    d.expect_operands(2);
    d.add_destination(0, 32);
    d.add_source(1, 8 * ptx::size_of(type));
    d.op.run = rank_of_address;
  };
}

}  // namespace emulator::machine
