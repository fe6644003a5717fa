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
      return {allocation->bytes.data() + offset, allocation->initialised.data(), offset, nullptr};
    }
  }
}

void check_initialised(Warp& warp, const Op& op, const Place& place, uint32_t size) {
  if (place.marks == nullptr || all_marked(place.marks, place.offset, size)) return;
  warp.report(op, Finding::uninitialised,
              format("{} bytes at {} offset {:#x} are read before they are written", size,
                     place.shared_of != nullptr ? "shared" : "memory", place.offset));
}

void track_shared(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t size, Use use, Agent agent,
                  uint32_t time, bool async, const Knowledge& known) {
  if (owner.race.empty()) return;
  const uint32_t end = offset + size;
  while (offset < end) {
    const uint32_t chunk = offset / RaceShadow::kChunk;
    const uint32_t first = offset % RaceShadow::kChunk;
    const uint32_t last = std::min(end - chunk * RaceShadow::kChunk, RaceShadow::kChunk);
    const auto bytes = static_cast<uint16_t>((0xffffu << first) & (0xffffu >> (16 - last)));
    const Access now{agent, time, op.number, bytes, use == Use::write, async};
    if (const auto conflict = owner.race.access(chunk, now, known)) {
      const Access& earlier = conflict->earlier;
      const Finding finding = conflict->missing_fence ? Finding::proxy : Finding::race;
      Reports& reports = *owner.launch().reports;
      if (!reports.known(finding, op.number, earlier.op)) {
        const Cluster& cluster = *owner.cluster;
        const Program& program = owner.program();
        reports.add(
            finding, op.number, earlier.op,
            format("{}: {} of shared {:#x} of CTA ({},{},{}) by {} at {} {} the {} by {} at {}",
                   machine::name_of(finding), verb(use), offset, owner.id[0], owner.id[1], owner.id[2],
                   agent == warp.agent ? warp.name() : cluster.name_of(agent) + " (issued by " + warp.name() + ")",
                   program.where(op.number),
                   conflict->missing_fence ? "is not separated by a proxy fence from" : "is not ordered after",
                   earlier.write ? "write" : "read", cluster.name_of(earlier.agent), program.where(earlier.op)));
      }
    }
    offset = (chunk + 1) * RaceShadow::kChunk;
  }
}

void track_plain(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t size, Use use) {
  track_shared(warp, op, owner, offset, size, use, warp.agent, warp.knowledge.ordered.at(warp.agent), false,
               warp.knowledge);
}

}  // namespace emulator::machine
