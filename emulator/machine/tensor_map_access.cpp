// tensormap.replace, tensormap.cp_fenceproxy and the proxy fences of tensor maps (PTX ISA 9.0, sections 9.7.9.28,
// 9.7.13.4, 9.7.14.1).
#include "machine/tensor_map_access.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "machine/address.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Space;
using ptx::Type;

constexpr uint32_t kBytes = 128, kHalf = 64;  // of a map, which is aligned to half of that

struct MapPlace {
  Place first, second;
  uint64_t address;
};
MapPlace find_map(Warp& warp, const Op& op, uint32_t lane, Space space, uint64_t address, Use use) {
  return {find_place(warp, op, lane, space, address, kHalf, use),
          find_place(warp, op, lane, space, address + kHalf, kHalf, use), address};
}

void track(Warp& warp, const Op& op, uint32_t lane, const MapPlace& at, Use use) {
  if (!warp.cta->launch().options.checks) return;
  for (const auto& [place, address] : {std::pair{&at.first, at.address}, std::pair{&at.second, at.address + kHalf}}) {
    if (use == Use::read) check_initialised(warp, op, *place, kHalf);
    if (!is_tracked(*place)) continue;
    Touches touches;
    touches.add(lane, *place, address);
    track_lanes(warp, op, touches, kHalf, use);
  }
}

TensorMap read(const MapPlace& at) {
  uint8_t bytes[kBytes];
  std::memcpy(bytes, at.first.bytes, kHalf);
  std::memcpy(bytes + kHalf, at.second.bytes, kHalf);
  TensorMap map;
  std::memcpy(&map, bytes, sizeof(map));
  return map;
}

void write(Warp& warp, const Op& op, uint32_t lane, const MapPlace& at, const TensorMap& map) {
  uint8_t bytes[kBytes] = {};
  std::memcpy(bytes, &map, sizeof(map));
  track(warp, op, lane, at, Use::write);
  for (const auto& [place, half] : {std::pair{&at.first, bytes}, std::pair{&at.second, bytes + kHalf}}) {
    std::memcpy(place->bytes, half, kHalf);
    mark(place->marks, place->offset, kHalf);
  }
}

void note_change(Warp& warp, uint64_t address, Space space) {
  LaunchState& launch = warp.cta->launch();
  launch.last_progress = launch.counters.warp_instructions;
  if (space == Space::shared || window_of(address) == kSharedWindow) return;
  launch.tensor_map_changes[address] = ++launch.tensor_map_change_count;
}

// In the order of their names in decode_replace().
enum Field : uint8_t { kAddress, kRank, kBox, kExtent, kStride, kStep, kElementType, kInterleave, kSwizzle, kFill };
// The order of the driver's CUtensorMapDataType, which is not the manual's.
constexpr uint8_t kTypes[] = {0, 1, 2, 3, 4, 5, 6, 7, 10, 8, 9, 11, 12};
constexpr uint8_t kElementBytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 4, 8, 2, 4, 4};

/// op.kind: the field; op.value: which of several (-1: there is one).
void set_field(Warp& warp, const Op& op, TensorMap& map, uint64_t value) {
  const auto which = static_cast<size_t>(op.value);
  const auto at_most = [&](uint64_t most) {
    if (value > most) warp.fault(op, Finding::operand, format("value {}; at most {} is allowed", value, most));
  };
  switch (op.kind) {
    case kAddress:
      map.address = value;
      break;
    case kRank:
      at_most(4);
      map.rank = static_cast<uint8_t>(value + 1);
      break;
    case kBox:
      at_most(256);
      map.box[which] = static_cast<uint16_t>(value);
      break;
    case kExtent:
      map.extents[which] = value == 0 ? uint64_t{1} << 32 : value;  // 32 bits: 2^32 is written as 0
      break;
    case kStride:
      map.strides[which] = value;
      break;
    case kStep:
      at_most(8);
      map.steps[which] = static_cast<uint8_t>(value);
      break;
    case kElementType:
      at_most(std::size(kTypes) - 1);
      map.type = kTypes[value];
      map.element_bytes = kElementBytes[value];
      break;
    case kInterleave:
      if (value != 0) warp.fault(op, Finding::operand, format("interleave layout {} is not supported", value));
      break;
    case kSwizzle:
      at_most(3);
      map.swizzle = static_cast<Swizzle>(value);
      break;
    default:
      at_most(1);
      map.nan_fill = static_cast<uint8_t>(value);
  }
}

bool is_zero(const TensorMap& map) {
  uint8_t bytes[sizeof(map)];
  std::memcpy(bytes, &map, sizeof(map));
  return std::all_of(bytes, bytes + sizeof(bytes), [](uint8_t byte) { return byte == 0; });
}

// src: the map, the value.
Outcome replace(Warp& warp, const Op& op, uint32_t mask) {
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const uint64_t address = warp.address(op, lane);
    const MapPlace at = find_map(warp, op, lane, op.space, address, Use::write);
    track(warp, op, lane, at, Use::read);
    TensorMap map = read(at);
    if (map.magic != TensorMap::kMagic) {
      if (!is_zero(map)) warp.fault(op, Finding::operand, format("neither a tensor map nor zeros at {:#x}", address));
      map.magic = TensorMap::kMagic;
    }
    const bool wide = (op.wide >> 1 & 1) != 0;
    set_field(warp, op, map,
              wide ? warp.lanes<uint64_t>(op.src[1])[lane] : uint64_t{warp.lanes<uint32_t>(op.src[1])[lane]});
    write(warp, op, lane, at, map);
    note_change(warp, address, op.space);
  }
  return Outcome::next;
}

void decode_replace(Decoder& d) {
  if (!d.take("tile")) d.unsupported();
  const auto field = static_cast<uint8_t>(
      d.take_one_of({"global_address", "rank", "box_dim", "global_dim", "global_stride", "element_stride", "elemtype",
                     "interleave_layout", "swizzle_mode", "fill_mode"}));
  constexpr Space kSpaces[] = {Space::global, Space::shared, Space::generic};
  d.op.space = kSpaces[d.take_one_of({"global", "shared::cta"}, 2)];
  if (!d.take("b1024")) d.unsupported();
  const bool wide = field == kAddress || field == kStride;
  if (d.take_type() != (wide ? Type::b64 : Type::b32)) d.unsupported();
  const bool one_of_several = field >= kBox && field <= kStep;
  d.expect_operands(one_of_several ? 3 : 2);
  d.add_address(0);
  d.op.kind = field;
  if (one_of_several) {
    d.op.value = d.immediate(d.operand(1));
    if (d.op.value < 0 || d.op.value > (field == kStride ? 3 : 4)) d.fail("there is no such dimension");
  }
  d.add_source(one_of_several ? 2 : 1, wide ? 64 : 32);
  d.op.run = replace;
}

// src: to, from. The lanes of a warp copy together.
Outcome copy_and_release(Warp& warp, const Op& op, uint32_t mask) {
  const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
  const uint64_t to = warp.address(op, lane, 0), from = warp.address(op, lane, 1);
  const MapPlace source = find_map(warp, op, lane, Space::shared, from, Use::read);
  track(warp, op, lane, source, Use::read);
  write(warp, op, lane, find_map(warp, op, lane, Space::global, to, Use::write), read(source));
  note_change(warp, to, Space::global);
  return Outcome::next;
}

void expect_map_size(Decoder& d, size_t operand) {
  if (d.immediate(d.operand(operand)) != kBytes) d.fail("128 bytes are expected");
}

void decode_copy_and_release(Decoder& d) {
  for (const std::string_view suffix : {"global", "shared::cta", "tensormap::generic", "release", "sync", "aligned"}) {
    if (!d.take(suffix)) d.unsupported();
  }
  d.take_one_of({"cta", "cluster", "gpu", "sys"});
  d.expect_operands(3);
  d.add_address(0, 0);
  d.add_address(1, 1);
  expect_map_size(d, 2);
  d.op.gather = Gather::live;
  d.op.run = copy_and_release;
}

Outcome acquire(Warp& warp, const Op& op, uint32_t mask) {
  LaunchState& launch = warp.cta->launch();
  for (; mask != 0; mask &= mask - 1) {
    const uint64_t address = warp.address(op, static_cast<uint32_t>(std::countr_zero(mask)));
    const auto changed = launch.tensor_map_changes.find(address);
    if (changed != launch.tensor_map_changes.end()) warp.cta->cluster->tensor_maps_acquired[address] = changed->second;
  }
  return Outcome::next;
}

}  // namespace

std::string TensorMap::what_is_wrong() const {
  if (magic != kMagic) return "is none";
  if (rank < 1 || rank > 5) return format("has rank {}", rank);
  if (element_bytes == 0) return "has no type";
  if (address == 0 || address % 16 != 0)
    return format("has address {:#x}, which is null or no multiple of 16", address);
  for (uint32_t i = 0; i < rank; ++i) {
    if (extents[i] == 0 || box[i] == 0 || box[i] > 256 || steps[i] == 0)
      return format("has extent {}, box {} and step {} in dimension {}", extents[i], box[i], steps[i], i);
    if (i > 0 && strides[i - 1] % 16 != 0) return format("has stride {}, no multiple of 16", strides[i - 1]);
  }
  const uint32_t row = uint32_t{box[0]} * element_bytes;
  if (row % 16 != 0) return format("has boxes of {} bytes a row, no multiple of 16", row);
  if (swizzle != Swizzle::none && row > 16u << static_cast<uint32_t>(swizzle))
    return format("has boxes of {} bytes a row, more than its swizzle allows", row);
  return {};
}

TensorMap load_tensor_map(Warp& warp, const Op& op, uint32_t lane, Space space, uint64_t address) {
  return read(find_map(warp, op, lane, space, address, Use::read));
}

void check_tensor_map_fence(Warp& warp, const Op& op, uint64_t address) {
  const auto& changes = warp.cta->launch().tensor_map_changes;
  const auto changed = changes.find(address);
  if (changed == changes.end()) return;
  const auto& acquired = warp.cta->cluster->tensor_maps_acquired;
  const auto known = acquired.find(address);
  if (known != acquired.end() && known->second >= changed->second) return;
  warp.report(
      op, Finding::proxy,
      format("the tensor map at {:#x} has been changed by this kernel, without a fence.proxy.tensormap of it since",
             address));
}

/// fence.proxy.tensormap::generic, behind what names it: .release has no operands and is the writer's part, which
/// counts only together with the reader's.
void decode_tensor_map_fence(Decoder& d) {
  const bool acquires = d.take_one_of({"release", "acquire"}) == 1;
  d.take_one_of({"cta", "cluster", "gpu", "sys"});
  d.expect_operands(acquires ? 2 : 0);
  d.op.run = [](Warp&, const Op&, uint32_t) { return Outcome::next; };
  if (!acquires) return;
  d.add_address(0);
  expect_map_size(d, 1);
  d.op.run = acquire;
}

void add_tensor_maps(DecodeTable& table) {
  table["tensormap"] = [](Decoder& d) {
    d.take_one_of({"replace", "cp_fenceproxy"}) == 0 ? decode_replace(d) : decode_copy_and_release(d);
  };
}

}  // namespace emulator::machine
