// cp.async.bulk of lines of bytes, and the groups of bulk stores (PTX ISA 9.0, section 9.7.9.25.4).
#include "machine/bulk_copy.h"

#include <algorithm>
#include <cstring>

#include "machine/address.h"
#include "machine/lanes.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Type;

void check_alignment(Warp& warp, const Op& op, uint64_t to, uint64_t from, uint32_t bytes) {
  if (((to | from | bytes) & 15) == 0) return;
  warp.fault(op, Finding::misaligned,
             format("a bulk copy of {} bytes from {:#x} to {:#x}; all have to be multiples of 16", bytes, from, to));
}

Allocation& find_global(Warp& warp, const Op& op, uint64_t address, uint32_t bytes) {
  Allocation* const allocation = warp.cta->launch().memory->find(address, bytes);
  if (allocation == nullptr) {
    warp.fault(op, Finding::out_of_bounds, format("a bulk copy of {} bytes at global address {:#x}", bytes, address));
  }
  return *allocation;
}

// Global to shared memory of this CTA, or with a mask of ranks of several; src: to, from, bytes, mbarrier, mask.
Outcome load_line(Warp& warp, const Op& op, uint32_t mask) {
  Cluster& cluster = *warp.cta->cluster;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const uint32_t to = shared_address(warp, op, lane, 0);
    const uint64_t from = warp.address(op, lane, 1);
    const uint32_t bytes = warp.lanes<uint32_t>(op.src[3])[lane];
    const uint32_t barrier = shared_address(warp, op, lane, 2);
    check_alignment(warp, op, to, from, bytes);
    if (bytes == 0) continue;
    Allocation& source = find_global(warp, op, from, bytes);
    const uint64_t source_offset = from - source.start;
    const bool initialised = all_marked(source.initialised.data(), source_offset, bytes);
    uint32_t ranks = op.kind != 0 ? warp.lanes<uint32_t>(op.src[4])[lane] & 0xffff : 0;
    const bool multicast = op.kind != 0;
    bool tracked = !warp.cta->launch().options.checks;
    for (uint32_t rank = 0; rank < (multicast ? 16u : 1u); ++rank) {
      if (multicast && (ranks >> rank & 1) == 0) continue;
      const uint32_t own = multicast ? (rank + 1) << kRankShift : 0;
      uint32_t offset = 0;
      Cta& owner = find_shared(warp, op, multicast ? (to & kOffsetMask) | own : to, bytes, offset);
      const MbarrierAt at = find_mbarrier(warp, op, multicast ? (barrier & kOffsetMask) | own : barrier);
      if (!tracked) track_global(warp, op, from, bytes, Use::read, engine_of(at, lane));
      tracked = true;
      begin_load(warp, op, owner, offset, bytes, at, lane);
      cluster.later([&owner, at, offset, bytes, initialised, data = source.bytes.data() + source_offset] {
        std::memcpy(owner.shared.data() + offset, data, bytes);
        if (initialised) mark(owner.initialised.data(), offset, bytes);
        complete_bytes(*at.owner, at.offset, bytes);
      });
    }
  }
  return Outcome::next;
}

// Shared memory of this CTA to global; src: to, from, bytes.
Outcome store_line(Warp& warp, const Op& op, uint32_t mask) {
  Cluster& cluster = *warp.cta->cluster;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const uint64_t to = warp.address(op, lane, 0);
    const uint32_t from = shared_address(warp, op, lane, 1);
    const uint32_t bytes = warp.lanes<uint32_t>(op.src[2])[lane];
    check_alignment(warp, op, to, from, bytes);
    if (bytes == 0) continue;
    Allocation& target = find_global(warp, op, to, bytes);
    const uint64_t target_offset = to - target.start;
    uint32_t offset = 0;
    Cta& owner = find_shared(warp, op, from, bytes, offset);
    if (warp.cta->launch().options.checks) track_global(warp, op, to, bytes, Use::write, bulk_writes_of(warp, lane));
    const auto group = begin_store(warp, op, owner, offset, bytes, lane);
    cluster.later([&cluster, &owner, &target, target_offset, offset, bytes, group] {
      std::memcpy(target.bytes.data() + target_offset, owner.shared.data() + offset, bytes);
      mark(target.initialised.data(), target_offset, bytes);
      end_store_reads(cluster, group);
    });
  }
  return Outcome::next;
}

// Shared memory of this CTA to another's; src: to, from, bytes, mbarrier.
Outcome send_line(Warp& warp, const Op& op, uint32_t mask) {
  Cluster& cluster = *warp.cta->cluster;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const uint32_t to = shared_address(warp, op, lane, 0);
    const uint32_t from = shared_address(warp, op, lane, 1);
    const uint32_t bytes = warp.lanes<uint32_t>(op.src[3])[lane];
    check_alignment(warp, op, to, from, bytes);
    if (bytes == 0) continue;
    uint32_t to_offset = 0, from_offset = 0;
    Cta& target = find_shared(warp, op, to, bytes, to_offset);
    Cta& source = find_shared(warp, op, from, bytes, from_offset);
    const MbarrierAt at = find_mbarrier(warp, op, shared_address(warp, op, lane, 2));
    if (at.owner != &target) warp.fault(op, Finding::operand, "the mbarrier is not in the CTA that the bytes go to");
    if (warp.cta->launch().options.checks) {
      const Place place{source.shared.data() + from_offset, source.initialised.data(), from_offset, &source};
      check_initialised(warp, op, place, bytes);
      track_shared(warp, op, source, from_offset, bytes, Use::read, engine_of(at, lane));
    }
    begin_load(warp, op, target, to_offset, bytes, at, lane);
    cluster.later([&source, &target, at, to_offset, from_offset, bytes] {
      std::memcpy(target.shared.data() + to_offset, source.shared.data() + from_offset, bytes);
      mark(target.initialised.data(), to_offset, bytes);
      complete_bytes(*at.owner, at.offset, bytes);
    });
  }
  return Outcome::next;
}

Outcome commit_group(Warp& warp, const Op&, uint32_t) {
  if (warp.bulk_open == nullptr) warp.bulk_open = std::make_shared<BulkGroup>();
  warp.bulk_open->number = ++warp.bulk_count;
  warp.bulk_groups.push_back(std::move(warp.bulk_open));
  warp.bulk_open = nullptr;
  return Outcome::next;
}

// op.value: groups that may be left; kind 1: .read, which waits until their sources have been read.
Outcome wait_group(Warp& warp, const Op& op, uint32_t) {
  uint32_t pending = 0;
  for (const auto& group : warp.bulk_groups)
    pending += op.kind != 0 ? group->pending_reads != 0 : group->pending_writes != 0;
  if (pending > op.value) {
    warp.wait = {Wait::For::bulk_groups, static_cast<uint32_t>(op.value), op.kind, true};
    return Outcome::retry_when;
  }
  // What the wait promises, not what happens to be done.
  const auto allowed = static_cast<uint32_t>(op.value);
  if (warp.bulk_count > allowed) {
    const Cluster& cluster = *warp.cta->cluster;
    warp.knowledge.ordered.set(cluster.bulk_agent(warp), warp.bulk_count - allowed);
    if (op.kind == 0) warp.knowledge.ordered.set(cluster.bulk_write_agent(warp), warp.bulk_count - allowed);
  }
  std::erase_if(warp.bulk_groups, [](const auto& group) { return group->pending_writes == 0; });
  return Outcome::next;
}

void take_hint(Decoder& d, size_t operands) {
  const bool hinted = d.take("L2::cache_hint");
  d.expect_operands(operands + (hinted ? 1 : 0));
}

void decode_line(Decoder& d) {
  const bool by_group = d.take("bulk_group");
  if (by_group) {
    if (!d.take("global") || !d.take("shared::cta")) d.unsupported();
    take_hint(d, 3);
    d.add_address(0, 0);
    d.add_address(1, 1);
    d.add_source(2, 32);
    d.op.run = store_line;
    return;
  }
  if (!d.take("mbarrier::complete_tx::bytes")) d.unsupported();
  const bool from_global = d.take("global");
  const bool multicast = d.take("multicast::cluster");
  const bool to_cluster = d.take("shared::cluster"), names_cta = d.take("shared::cta");
  if (from_global ? to_cluster == names_cta : !(to_cluster && names_cta)) d.unsupported();
  if (multicast && (!from_global || !to_cluster)) d.unsupported();
  take_hint(d, multicast ? 5 : 4);
  d.add_address(0, 0);
  d.add_address(1, 1);
  d.add_address(3, 2);
  d.add_source(2, 32);
  if (multicast) {
    d.op.src[4] = d.source(d.operand(4), 16);
    d.op.sources = 5;
    d.op.kind = 1;
  }
  d.op.run = from_global ? load_line : send_line;
}

void decode_copy(Decoder& d) {
  if (!d.take("async")) d.unsupported();
  if (!d.take("bulk")) return decode_small_copy(d);
  if (d.take("commit_group")) {
    d.expect_operands(0);
    d.op.run = commit_group;
  } else if (d.take("wait_group")) {
    d.op.kind = d.take("read") ? 1 : 0;
    d.expect_operands(1);
    d.op.value = d.immediate(d.operand(0));
    if (d.op.value < 0) d.fail("a negative number of groups");
    d.op.run = wait_group;
  } else if (d.take("tensor")) {
    decode_tensor_copy(d);
  } else {
    decode_line(d);
  }
}

}  // namespace

uint32_t shared_address(Warp& warp, const Op& op, uint32_t lane, size_t s) {
  const uint64_t address = warp.address(op, lane, s);
  if (window_of(address) != 0 && window_of(address) != kSharedWindow) {
    warp.fault(op, Finding::out_of_bounds, format("address {:#x} is not in shared memory", address));
  }
  return static_cast<uint32_t>(address);
}

Engine engine_of(const MbarrierAt& at, uint32_t lane) {
  return {at.barrier->agent, at.barrier->phase + 1, true, static_cast<int8_t>(lane)};
}

Engine bulk_writes_of(const Warp& warp, uint32_t lane) {
  return {warp.cta->cluster->bulk_write_agent(warp), warp.bulk_count + 1, true, static_cast<int8_t>(lane)};
}

void begin_load(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t bytes, const MbarrierAt& at,
                uint32_t lane) {
  LaunchState& launch = owner.launch();
  if (launch.options.checks) {
    if (!at.barrier->fenced) {
      warp.report(op, Finding::proxy,
                  format("no proxy fence between the initialisation of the mbarrier at shared {:#x} and a copy that "
                         "completes on it",
                         at.offset));
    }
    track_shared(warp, op, owner, offset, bytes, Use::write, engine_of(at, lane));
  }
  // Whoever looks before the copy completes finds NaN, and bytes that nobody wrote.
  std::fill_n(owner.shared.begin() + offset, bytes, uint8_t{0xff});
  unmark(owner.initialised.data(), offset, bytes);
  launch.counters.bulk_load_bytes += bytes;
  ++launch.counters.bulk_operations;
}

std::shared_ptr<BulkGroup> begin_store(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t bytes,
                                       uint32_t lane) {
  LaunchState& launch = owner.launch();
  if (launch.options.checks) {
    const Place place{owner.shared.data() + offset, owner.initialised.data(), offset, &owner};
    check_initialised(warp, op, place, bytes);
    const Engine engine{owner.cluster->bulk_agent(warp), warp.bulk_count + 1, true, static_cast<int8_t>(lane)};
    track_shared(warp, op, owner, offset, bytes, Use::read, engine);
  }
  launch.counters.bulk_store_bytes += bytes;
  ++launch.counters.bulk_operations;
  if (warp.bulk_open == nullptr) warp.bulk_open = std::make_shared<BulkGroup>();
  ++warp.bulk_open->pending_reads;
  ++warp.bulk_open->pending_writes;
  return warp.bulk_open;
}

void end_store_reads(Cluster& cluster, const std::shared_ptr<BulkGroup>& group) {
  --group->pending_reads;
  cluster.later([group] { --group->pending_writes; });
}

void add_copies(DecodeTable& table) {
  table["cp"] = decode_copy;
}

}  // namespace emulator::machine
