#include "machine/access.h"

#include <algorithm>
#include <bit>

#include "machine/address.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Space;

const char* verb(Use use) {
  return use == Use::read ? "read" : "write";
}

[[noreturn]] void outside(Warp& warp, const Op& op, Use use, uint32_t size, std::string_view space, uint64_t address) {
  warp.fault(op, Finding::out_of_bounds, format("{} of {} bytes at {} address {:#x}", verb(use), size, space, address));
}

/// Another CTA of the cluster has to be known to have started, and must not have exited.
void check_lifetime(Warp& warp, const Op& op, const Cta& owner) {
  const auto knows = [&](const Warp& other) { return warp.knowledge.ordered.at(other.agent) != 0; };
  if (owner.closed) {
    warp.report(op, Finding::lifetime, format("shared memory of {}, which has exited, is used", owner.name()));
  } else if (std::none_of(owner.warps.begin(), owner.warps.end(), knows)) {
    warp.report(op, Finding::lifetime,
                format("shared memory of {}, which may not have started, is used", owner.name()));
  }
}

}  // namespace

Cta& find_shared(Warp& warp, const Op& op, uint32_t address, uint32_t size, uint32_t& offset) {
  const uint32_t rank = address >> kRankShift;
  offset = address & kOffsetMask;
  Cluster& cluster = *warp.cta->cluster;
  if (rank > cluster.ctas.size()) outside(warp, op, Use::read, size, "shared", address);
  Cta& owner = rank == 0 ? *warp.cta : *cluster.ctas[rank - 1];
  if (offset < kSharedStart || size > owner.shared.size() || offset > owner.shared.size() - size) {
    warp.fault(op, Finding::out_of_bounds,
               format("{} bytes at shared address {:#x}; the CTA has {:#x} to {:#x}", size, address, kSharedStart,
                      owner.shared.size()));
  }
  if (&owner != warp.cta && cluster.launch->options.checks) check_lifetime(warp, op, owner);
  return owner;
}

Place find_place(Warp& warp, const Op& op, uint32_t lane, Space space, uint64_t address, uint32_t size, Use use) {
  if ((address & (size - 1)) != 0) {
    warp.fault(op, Finding::misaligned,
               format("{} of {} bytes at address {:#x}, by lane {}", verb(use), size, address, lane));
  }
  if (space == Space::generic) {
    switch (window_of(address)) {
      case kSharedWindow:
        space = Space::shared;
        break;
      case kLocalWindow:
        space = Space::local;
        address &= 0xffffffffull;
        break;
      case kParameterWindow:
        space = Space::param;
        address &= 0xffffffffull;
        break;
      default:
        space = Space::global;
    }
  }
  switch (space) {
    case Space::shared: {
      uint32_t offset = 0;
      Cta& owner = find_shared(warp, op, static_cast<uint32_t>(address), size, offset);
      return {owner.shared.data() + offset, owner.initialised.data(), offset, &owner};
    }
    case Space::local: {
      const uint32_t bytes = warp.cta->program().local_bytes;
      if (address >= bytes || size > bytes - address) outside(warp, op, use, size, "local", address);
      const uint64_t offset = static_cast<uint64_t>(warp.id * kLanes + lane) * bytes + address;
      return {warp.cta->local.data() + offset, warp.cta->local_initialised.data(), offset, nullptr};
    }
    case Space::param: {
      const auto& parameters = *warp.cta->launch().parameters;
      if (use == Use::write || address >= parameters.size() || size > parameters.size() - address) {
        outside(warp, op, use, size, "parameter", address);
      }
      return {const_cast<uint8_t*>(parameters.data()) + address, nullptr, address, nullptr};
    }
    default: {
      Allocation* const allocation = warp.cta->launch().memory->find(address, size);
      if (allocation == nullptr || (use == Use::write && allocation->read_only))
        outside(warp, op, use, size, "global", address);
      const uint64_t offset = address - allocation->start;
      return {allocation->bytes.data() + offset, allocation->initialised.data(), offset, nullptr, true};
    }
  }
}

void check_initialised(Warp& warp, const Op& op, const Place& place, uint32_t size) {
  if (place.marks == nullptr || all_marked(place.marks, place.offset, size)) return;
  warp.report(op, Finding::uninitialised,
              format("{} bytes at {} offset {:#x} are read before they are written", size,
                     place.shared_of != nullptr ? "shared" : "memory", place.offset));
}

void count_wavefronts(Counters& counters, const uint32_t* offsets, uint32_t mask, uint32_t bytes) {
  // 32 banks of 4 bytes; accesses of 8 and 16 bytes go by half and quarter warps. One word counts once a wavefront.
  const uint32_t lanes_at_once = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
  const uint32_t words = bytes <= 4 ? 1 : bytes / 4;
  ++counters.shared_accesses;
  for (uint32_t start = 0; start < kLanes; start += lanes_at_once) {
    uint32_t part = lanes_at_once == kLanes ? mask : mask >> start & ((1u << lanes_at_once) - 1);
    if (part == 0) continue;
    uint32_t seen[kLanes];
    uint32_t per_bank[kLanes] = {};
    uint32_t distinct = 0, most = 0;
    for (; part != 0; part &= part - 1) {
      const uint32_t offset = offsets[start + static_cast<uint32_t>(std::countr_zero(part))];
      for (uint32_t w = 0; w < words; ++w) {
        const uint32_t word = offset / 4 + w;
        if (std::find(seen, seen + distinct, word) != seen + distinct) continue;
        seen[distinct++] = word;
        most = std::max(most, ++per_bank[word % kLanes]);
      }
    }
    counters.shared_wavefronts += most;
    counters.shared_ideal_wavefronts += (distinct + kLanes - 1) / kLanes;
  }
}

}  // namespace emulator::machine
