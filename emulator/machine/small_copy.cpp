// cp.async of 4, 8 or 16 bytes a thread (PTX ISA 9.0, section 9.7.9.25.3).
#include <algorithm>
#include <cstring>

#include "machine/bulk_copy.h"
#include "machine/lanes.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

// src: to, from, bytes to read (the rest becomes zeros).
Outcome copy(Warp& warp, const Op& op, uint32_t mask) {
  Cluster& cluster = *warp.cta->cluster;
  LaunchState& launch = warp.cta->launch();
  const auto size = static_cast<uint32_t>(op.value);
  if (warp.copy_open == nullptr) warp.copy_open = std::make_shared<BulkGroup>();
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const Place to = find_place(warp, op, lane, ptx::Space::shared, warp.address(op, lane, 0), size, Use::write);
    const uint32_t bytes = op.sources > 2 ? warp.lanes<uint32_t>(op.src[2])[lane] : size;
    if (bytes > size) warp.fault(op, Finding::operand, format("cp.async of {} bytes reads {}", size, bytes));
    const Engine engine{cluster.copy_agent(warp), warp.copy_count + 1, false, static_cast<int8_t>(lane)};
    std::array<uint8_t, 16> data{};
    if (bytes != 0) {
      const Place from = find_place(warp, op, lane, ptx::Space::global, warp.address(op, lane, 1), size, Use::read);
      if (launch.options.checks) {
        check_initialised(warp, op, from, bytes);
        track_global(warp, op, warp.address(op, lane, 1), bytes, Use::read, engine);
      }
      std::memcpy(data.data(), from.bytes, bytes);
      launch.counters.global_load_bytes += bytes;
    }
    const auto offset = static_cast<uint32_t>(to.offset);
    if (launch.options.checks) {
      track_shared(warp, op, *to.shared_of, offset, size, Use::write, engine);
    }
    std::memset(to.bytes, 0xff, size);
    unmark(to.marks, to.offset, size);
    ++warp.copy_open->pending_writes;
    cluster.later([&owner = *to.shared_of, offset, size, data, group = warp.copy_open] {
      std::memcpy(owner.shared.data() + offset, data.data(), size);
      mark(owner.initialised.data(), offset, size);
      --group->pending_writes;
    });
  }
  return Outcome::next;
}

void commit(Warp& warp) {
  if (warp.copy_open == nullptr) warp.copy_open = std::make_shared<BulkGroup>();
  ++warp.copy_count;
  warp.copy_groups.push_back(std::move(warp.copy_open));
  warp.copy_open = nullptr;
}

Outcome commit_group(Warp& warp, const Op&, uint32_t) {
  commit(warp);
  return Outcome::next;
}

// op.value: groups that may be left; kind 1: wait_all, which commits first.
Outcome wait_group(Warp& warp, const Op& op, uint32_t) {
  if (op.kind != 0 && warp.copy_open != nullptr) commit(warp);
  const auto allowed = static_cast<uint32_t>(op.value);
  const auto pending = std::count_if(warp.copy_groups.begin(), warp.copy_groups.end(),
                                     [](const auto& group) { return group->pending_writes != 0; });
  if (static_cast<uint32_t>(pending) > allowed) {
    warp.wait = {Wait::For::copy_groups, allowed, 0, true};
    return Outcome::retry_when;
  }
  if (warp.copy_count > allowed) {
    warp.knowledge.ordered.set(warp.cta->cluster->copy_agent(warp), warp.copy_count - allowed);
  }
  std::erase_if(warp.copy_groups, [](const auto& group) { return group->pending_writes == 0; });
  return Outcome::next;
}

}  // namespace

void decode_small_copy(Decoder& d) {
  if (d.take("commit_group")) {
    d.expect_operands(0);
    d.op.gather = Gather::live;
    d.op.run = commit_group;
    return;
  }
  const bool all = d.take("wait_all");
  if (all || d.take("wait_group")) {
    d.expect_operands(all ? 0 : 1);
    d.op.kind = all ? 1 : 0;
    d.op.value = all ? 0 : d.immediate(d.operand(0));
    if (d.op.value < 0) d.fail("a negative number of groups");
    d.op.gather = Gather::live;
    d.op.run = wait_group;
    return;
  }
  const bool cg = d.take_one_of({"ca", "cg"}) == 1;
  if (!d.take("shared") && !d.take("shared::cta")) d.unsupported();
  if (!d.take("global")) d.unsupported();
  d.take_one_of({"L2::64B", "L2::128B", "L2::256B"}, 0);
  const bool hinted = d.take("L2::cache_hint");
  d.expect_operands(hinted ? 4 : 3, hinted ? 5 : 4);
  d.op.value = d.immediate(d.operand(2));
  if (d.op.value != 16 && (cg || (d.op.value != 4 && d.op.value != 8)))
    d.fail("4, 8 or 16 bytes are allowed, .cg takes 16");
  d.add_address(0, 0);
  d.add_address(1, 1);
  if (d.operand_count() == (hinted ? 5u : 4u)) d.add_source(3, 32);
  d.op.run = copy;
}

}  // namespace emulator::machine
