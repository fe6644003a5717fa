// ld, st and their kin (PTX ISA 9.0, section 9.7.9.8 to 9.7.9.14).
#include <cstring>

#include "machine/access.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Space;
using ptx::Type;

/// Distinct sectors of 32 bytes among the accesses of a warp.
uint32_t sectors(const uint64_t* addresses, uint32_t count, uint32_t bytes) {
  uint64_t seen[2 * kLanes];
  uint32_t distinct = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t last = (addresses[i] + bytes - 1) / 32;
    for (uint64_t sector = addresses[i] / 32; sector <= last; ++sector) {
      bool known = false;
      for (uint32_t j = distinct; j > 0 && !known; --j) known = seen[j - 1] == sector;
      if (!known) seen[distinct++] = sector;
    }
  }
  return distinct;
}

struct WarpAccess {
  uint32_t shared_offsets[kLanes];
  uint32_t shared_mask = 0;
  uint64_t global[kLanes];
  uint32_t global_count = 0;
};

void note(WarpAccess& all, const Place& place, uint32_t lane, uint64_t address, bool counts_as_global) {
  if (place.shared_of != nullptr) {
    all.shared_offsets[lane] = static_cast<uint32_t>(place.offset);
    all.shared_mask |= 1u << lane;
  } else if (counts_as_global) {
    all.global[all.global_count++] = address;
  }
}

// op.value: bytes of an element; kind 1: sign-extended on loading; list: the elements' registers, flags bit i: 64-bit
// lanes.
Outcome load(Warp& warp, const Op& op, uint32_t mask) {
  const auto width = static_cast<uint32_t>(op.value);
  const uint32_t size = width * op.count;
  const bool checks = warp.cta->launch().options.checks;
  WarpAccess all;
  Touches touches;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t address = warp.address(op, lane);
    const Place place = find_place(warp, op, lane, op.space, address, size, Use::read);
    note(all, place, lane, address, op.space != Space::param && op.space != Space::local);
    if (checks) {
      check_initialised(warp, op, place, size);
      if (is_tracked(place)) touches.add(lane, place, address);
    }
    for (uint32_t i = 0; i < op.count; ++i) {
      if (op.list[i] == kNoSlot) continue;
      uint64_t value = 0;
      std::memcpy(&value, place.bytes + i * width, width);
      if (op.kind == 1 && width < 8) {
        const uint32_t shift = 64 - 8 * width;
        value = static_cast<uint64_t>(static_cast<int64_t>(value << shift) >> shift);
      }
      if ((op.flags >> i & 1) != 0) {
        warp.lanes<uint64_t>(op.list[i])[lane] = value;
      } else {
        warp.lanes<uint32_t>(op.list[i])[lane] =
            static_cast<uint32_t>((op.flags >> (8 + i) & 1) != 0 ? value & 0xffff : value);
      }
    }
  }
  for (uint32_t i = 0; i < op.count; ++i) {
    if (op.list[i] != kNoSlot) warp.mark_written(op.list[i], mask);
  }
  if (touches.mask != 0) track_lanes(warp, op, touches, size, Use::read);
  Counters& counters = warp.cta->launch().counters;
  if (all.shared_mask != 0) count_wavefronts(counters, all.shared_offsets, all.shared_mask, size);
  counters.global_load_bytes += static_cast<uint64_t>(all.global_count) * size;
  if (all.global_count != 0) counters.global_load_sectors += sectors(all.global, all.global_count, size);
  return Outcome::next;
}

Outcome store(Warp& warp, const Op& op, uint32_t mask) {
  const auto width = static_cast<uint32_t>(op.value);
  const uint32_t size = width * op.count;
  LaunchState& launch = warp.cta->launch();
  if (launch.options.checks) {
    for (const Slot slot : op.list) {
      if ((mask & ~warp.written(slot)) != 0)
        warp.report(op, Finding::uninitialised, "a register is stored before it is written");
    }
  }
  WarpAccess all;
  Touches touches;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t address = warp.address(op, lane);
    const Place place = find_place(warp, op, lane, op.space, address, size, Use::write);
    note(all, place, lane, address, op.space != Space::local);
    if (launch.options.checks && is_tracked(place)) touches.add(lane, place, address);
    for (uint32_t i = 0; i < op.count; ++i) {
      const uint64_t value =
          (op.flags >> i & 1) != 0 ? warp.lanes<uint64_t>(op.list[i])[lane] : warp.lanes<uint32_t>(op.list[i])[lane];
      std::memcpy(place.bytes + i * width, &value, width);
    }
    mark(place.marks, place.offset, size);
  }
  if (touches.mask != 0) track_lanes(warp, op, touches, size, Use::write);
  launch.last_progress = launch.counters.warp_instructions;
  if (all.shared_mask != 0) count_wavefronts(launch.counters, all.shared_offsets, all.shared_mask, size);
  launch.counters.global_store_bytes += static_cast<uint64_t>(all.global_count) * size;
  if (all.global_count != 0) launch.counters.global_store_sectors += sectors(all.global, all.global_count, size);
  return Outcome::next;
}

void take_cache_hints(Decoder& d) {
  d.take_one_of({"ca", "cg", "cs", "cv", "lu", "wb", "wt"}, 0);
  d.take_one_of({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"}, 0);
  d.take_one_of({"L2::64B", "L2::128B", "L2::256B"}, 0);
  d.take_one_of({"L2::evict_last", "L2::evict_normal", "L2::evict_first"}, 0);
}

void decode_access(Decoder& d, bool loads) {
  d.take_order(false);
  const int space = d.take_one_of(
      {"global", "shared", "shared::cta", "shared::cluster", "local", "param", "param::entry", "const"}, 8);
  constexpr Space kSpaces[] = {Space::global, Space::shared, Space::shared,   Space::shared, Space::local,
                               Space::param,  Space::param,  Space::constant, Space::generic};
  d.op.space = kSpaces[space];
  if (!loads && (d.op.space == Space::param || d.op.space == Space::constant)) d.unsupported();
  d.op.constant = d.take("nc");
  if (d.op.constant && (!loads || d.op.space != Space::global)) d.unsupported();
  take_cache_hints(d);
  const bool hinted = d.take("L2::cache_hint");
  const int vector = d.take_one_of({"v2", "v4", "v8"}, 3);
  d.op.count = static_cast<uint8_t>(vector == 3 ? 1 : 2 << vector);
  const Type type = d.take_type();
  const uint32_t width = ptx::size_of(type);
  if (type == Type::pred || width > 8 || width * d.op.count > 16) d.unsupported();
  d.op.value = width;
  d.op.kind = ptx::is_signed(type) ? 1 : 0;
  d.expect_operands(hinted ? 3 : 2);
  const size_t value = loads ? 0 : 1;
  d.add_address(1 - value);
  const ptx::Operand& operand = d.operand(value);
  const bool is_list = operand.kind == ptx::Operand::Kind::list;
  if (is_list != (vector != 3) || (is_list && operand.parts.size() != d.op.count))
    d.fail("the vector does not fit the instruction");
  for (uint32_t i = 0; i < d.op.count; ++i) {
    const ptx::Operand& part = is_list ? operand.parts[i] : operand;
    d.op.list.push_back(loads ? d.destination(part, 8 * width, true) : d.source(part, 8 * width, true));
    const uint32_t bits = part.kind == ptx::Operand::Kind::reg ? d.bits_of(part) : 8 * width;
    if (bits == 64) d.op.flags |= 1u << i;
    if (bits == 16) d.op.flags |= 1u << (8 + i);
  }
  d.op.list_is_read = !loads;
  d.op.run = loads ? load : store;
}

}  // namespace

void add_memory(DecodeTable& table) {
  table["ld"] = [](Decoder& d) { decode_access(d, true); };
  table["ldu"] = table["ld"];
  table["st"] = [](Decoder& d) { decode_access(d, false); };
}

}  // namespace emulator::machine
