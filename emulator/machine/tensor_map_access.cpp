#include "machine/tensor_map_access.h"

#include <cstring>
#include <utility>

#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Space;

constexpr uint32_t kHalf = kTensorMapBytes / 2;  // a map is aligned to that

}  // namespace

TensorMapPlace find_tensor_map(Warp& warp, const Op& op, uint32_t lane, Space space, uint64_t address, Use use) {
  return {find_place(warp, op, lane, space, address, kHalf, use),
          find_place(warp, op, lane, space, address + kHalf, kHalf, use), address};
}

void track_tensor_map(Warp& warp, const Op& op, uint32_t lane, const TensorMapPlace& at, Use use) {
  if (!warp.cta->launch().options.checks) return;
  for (const auto& [place, address] : {std::pair{&at.first, at.address}, std::pair{&at.second, at.address + kHalf}}) {
    if (use == Use::read) check_initialised(warp, op, *place, kHalf);
    if (!is_tracked(*place)) continue;
    Touches touches;
    touches.add(lane, *place, address);
    track_lanes(warp, op, touches, kHalf, use);
  }
}

TensorMap read_tensor_map(const TensorMapPlace& at) {
  uint8_t bytes[kTensorMapBytes];
  std::memcpy(bytes, at.first.bytes, kHalf);
  std::memcpy(bytes + kHalf, at.second.bytes, kHalf);
  TensorMap map;
  std::memcpy(&map, bytes, sizeof(map));
  return map;
}

void write_tensor_map(Warp& warp, const Op& op, uint32_t lane, const TensorMapPlace& at, const TensorMap& map) {
  uint8_t bytes[kTensorMapBytes] = {};
  std::memcpy(bytes, &map, sizeof(map));
  track_tensor_map(warp, op, lane, at, Use::write);
  for (const auto& [place, half] : {std::pair{&at.first, bytes}, std::pair{&at.second, bytes + kHalf}}) {
    std::memcpy(place->bytes, half, kHalf);
    mark(place->marks, place->offset, kHalf);
  }
}

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
  return read_tensor_map(find_tensor_map(warp, op, lane, space, address, Use::read));
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

}  // namespace emulator::machine
