// mbarrier.* (PTX ISA 9.0, section 9.7.13.15).
#include "machine/mbarrier.h"

#include "machine/access.h"
#include "machine/address.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Operand;
using ptx::Type;

constexpr uint32_t kMaxCount = (1u << 20) - 1;  // arrivals and transaction bytes of a phase, 9.7.13.15.2

enum Flag : uint32_t { kExpects = 1, kArrives = 2, kDrops = 4, kHasOperand = 8 };

uint32_t address32(Warp& warp, const Op& op, uint32_t lane) {
  const uint64_t address = warp.address(op, lane);
  if (window_of(address) != 0 && window_of(address) != kSharedWindow) {
    warp.fault(op, Finding::out_of_bounds, format("an mbarrier at address {:#x}, which is not shared memory", address));
  }
  return static_cast<uint32_t>(address);
}

Outcome initialise(Warp& warp, const Op& op, uint32_t mask) {
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const Place place = find_place(warp, op, lane, ptx::Space::shared, address32(warp, op, lane), 8, Use::write);
    if (place.shared_of != warp.cta) warp.fault(op, Finding::barrier, "mbarrier.init in another CTA's memory");
    const uint32_t count = warp.lanes<uint32_t>(op.src[1])[lane];
    if (count == 0 || count > kMaxCount) warp.fault(op, Finding::barrier, format("an mbarrier of {} arrivals", count));
    const auto offset = static_cast<uint32_t>(place.offset);
    if (warp.cta->mbarriers.contains(offset)) {
      warp.report(op, Finding::barrier,
                  format("the mbarrier at shared {:#x} is initialised again while it is valid", offset));
    }
    mark(place.marks, place.offset, 8);
    Mbarrier barrier;
    barrier.count = barrier.pending = count;
    barrier.agent = warp.cta->cluster->new_agent();
    barrier.initializer = warp.agent;
    barrier.initialized_at = warp.knowledge.ordered.at(warp.agent);
    warp.cta->mbarriers[offset] = barrier;
  }
  warp.release();
  return Outcome::next;
}

Outcome invalidate(Warp& warp, const Op& op, uint32_t mask) {
  for (; mask != 0; mask &= mask - 1) {
    const MbarrierAt at = find_mbarrier(warp, op, address32(warp, op, static_cast<uint32_t>(std::countr_zero(mask))));
    at.owner->mbarriers.erase(at.offset);
    unmark(at.owner->initialised.data(), at.offset, 8);
  }
  return Outcome::next;
}

Outcome arrive(Warp& warp, const Op& op, uint32_t mask) {
  LaunchState& launch = warp.cta->launch();
  const Mbarrier* joined = nullptr;
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const MbarrierAt at = find_mbarrier(warp, op, address32(warp, op, lane));
    Mbarrier& barrier = *at.barrier;
    const uint32_t operand = (op.flags & kHasOperand) != 0 ? warp.lanes<uint32_t>(op.src[1])[lane] : 1;
    if (op.results != 0) warp.lanes<uint64_t>(op.dst[0])[lane] = barrier.phase;
    if ((op.flags & kExpects) != 0) {
      barrier.transactions += operand;
      if (barrier.transactions > kMaxCount) {
        warp.fault(op, Finding::transaction,
                   format("the mbarrier at shared {:#x} expects {} bytes; at most {} are allowed", at.offset,
                          barrier.transactions, kMaxCount));
      }
    }
    if ((op.flags & kArrives) != 0) {
      const uint32_t count = (op.flags & kExpects) != 0 ? 1 : operand;
      if (count == 0 || count > barrier.pending) {
        warp.fault(op, Finding::barrier,
                   format("{} arrivals at the mbarrier at shared {:#x}, which misses {} of {}", count, at.offset,
                          barrier.pending, barrier.count));
      }
      barrier.pending -= count;
      if ((op.flags & kDrops) != 0) barrier.count -= count;
      if (at.barrier != joined) barrier.gathering.join(warp.knowledge);
      joined = at.barrier;
      if (at.owner != warp.cta) barrier.remote_arrivals.set(warp.agent, warp.time());
    }
    settle(*at.owner, barrier);
  }
  warp.release();
  launch.last_progress = launch.counters.warp_instructions;
  return Outcome::next;
}

// kind 1: by parity; flags bit 0: try_wait, which may wait; else test_wait.
Outcome wait(Warp& warp, const Op& op, uint32_t mask) {
  uint32_t done = 0;
  Wait first_missing;
  const Mbarrier* joined = nullptr;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const MbarrierAt at = find_mbarrier(warp, op, address32(warp, op, lane));
    if (at.owner != warp.cta) warp.fault(op, Finding::barrier, "a wait for another CTA's mbarrier");
    const auto parity = static_cast<uint32_t>(op.kind == 1 ? warp.lanes<uint32_t>(op.src[1])[lane] & 1
                                                           : warp.lanes<uint64_t>(op.src[1])[lane] & 1);
    if ((at.barrier->phase & 1) != parity) {
      done |= 1u << lane;
      if (at.barrier != joined) warp.acquire(at.barrier->released);
      joined = at.barrier;
    } else if (first_missing.what == Wait::For::nothing) {
      first_missing = {Wait::For::mbarrier, at.offset, parity, true};
    }
  }
  // try_wait may give up at any time: now and then it does, for the loops that have to be around it.
  if (done != mask && op.flags != 0 && warp.cta->cluster->random(4) != 0) {
    warp.wait = first_missing;
    return Outcome::retry_when;
  }
  uint32_t& d = warp.predicate(op.dst[0]);
  d = done | (d & ~mask);
  return done == mask ? Outcome::next : Outcome::yield;
}

void decode_arrive(Decoder& d, bool drops) {
  d.op.flags = kArrives | (drops ? kDrops : 0u);
  if (d.take("expect_tx")) d.op.flags |= kExpects;
  d.take_one_of({"release", "relaxed"}, 0);
  d.take_one_of({"cta", "cluster"}, 0);
  d.take_one_of({"shared", "shared::cta", "shared::cluster"}, 0);
  if (d.take_type() != Type::b64) d.unsupported();
  const bool returns = d.operand(0).kind != Operand::Kind::address;
  const size_t first = returns ? 1 : 0;
  d.expect_operands(first + 1, first + 2);
  if (returns && d.operand(0).kind != Operand::Kind::sink) d.add_destination(0, 64);
  d.add_address(first);
  if (d.operand_count() == first + 2) {
    d.op.flags |= kHasOperand;
    d.add_source(first + 1, 32);
  } else if ((d.op.flags & kExpects) != 0) {
    d.fail("the bytes to expect are missing");
  }
  d.op.run = arrive;
}

void decode_wait(Decoder& d, bool may_wait) {
  d.op.flags = may_wait ? 1 : 0;
  d.op.kind = d.take("parity") ? 1 : 0;
  d.take_one_of({"acquire", "relaxed"}, 0);
  d.take_one_of({"cta", "cluster"}, 0);
  d.take_one_of({"shared", "shared::cta"}, 0);
  if (d.take_type() != Type::b64) d.unsupported();
  d.expect_operands(3, may_wait ? 4 : 3);
  d.add_destination(0, 1);
  d.add_address(1);
  d.add_source(2, d.op.kind == 1 ? 32 : 64);
  if (d.operand_count() == 4) d.add_source(3, 32);
  d.op.run = wait;
}

}  // namespace

MbarrierAt find_mbarrier(Warp& warp, const Op& op, uint32_t address) {
  uint32_t offset = 0;
  Cta& owner = find_shared(warp, op, address, 8, offset);
  const auto found = owner.mbarriers.find(offset);
  if (found == owner.mbarriers.end()) {
    warp.fault(op, Finding::barrier, format("there is no initialised mbarrier at shared {:#x}", offset));
  }
  const Mbarrier& barrier = found->second;
  if (warp.knowledge.ordered.at(barrier.initializer) < barrier.initialized_at) {
    warp.report(op, Finding::race,
                format("the mbarrier at shared {:#x} is used without an order after its initialisation", offset));
  }
  return {&owner, offset, &found->second};
}

void settle(Cta& owner, Mbarrier& barrier) {
  if (barrier.pending != 0 || barrier.transactions != 0) return;
  ++barrier.phase;
  barrier.pending = barrier.count;
  barrier.released = barrier.gathering;
  barrier.released.ordered.set(barrier.agent, barrier.phase);
  barrier.gathering.clear();
  owner.launch().last_progress = owner.launch().counters.warp_instructions;
}

bool complete_bytes(Cta& owner, uint32_t offset, uint32_t bytes) {
  const auto found = owner.mbarriers.find(offset);
  if (found == owner.mbarriers.end()) {
    owner.launch().reports->add(
        Finding::transaction, offset, offset,
        format("transaction: {} bytes arrive for the mbarrier at shared {:#x}, which is no longer valid", bytes,
               offset));
    return false;
  }
  found->second.transactions -= bytes;
  settle(owner, found->second);
  return true;
}

void add_mbarrier(DecodeTable& table) {
  table["mbarrier"] = [](Decoder& d) {
    switch (d.take_one_of({"init", "inval", "arrive", "arrive_drop", "test_wait", "try_wait", "expect_tx"})) {
      case 0:
        d.take_one_of({"shared", "shared::cta"}, 0);
        if (d.take_type() != Type::b64) d.unsupported();
        d.expect_operands(2);
        d.add_address(0);
        d.add_source(1, 32);
        d.op.run = initialise;
        return;
      case 1:
        d.take_one_of({"shared", "shared::cta"}, 0);
        if (d.take_type() != Type::b64) d.unsupported();
        d.expect_operands(1);
        d.add_address(0);
        d.op.run = invalidate;
        return;
      case 2:
        return decode_arrive(d, false);
      case 3:
        return decode_arrive(d, true);
      case 4:
        return decode_wait(d, false);
      case 5:
        return decode_wait(d, true);
      default:
        d.op.flags = kExpects | kHasOperand;
        d.take("relaxed");
        d.take_one_of({"cta", "cluster"}, 0);
        d.take_one_of({"shared", "shared::cta", "shared::cluster"}, 0);
        if (d.take_type() != Type::b64) d.unsupported();
        d.expect_operands(2);
        d.add_address(0);
        d.add_source(1, 32);
        d.op.run = arrive;
    }
  };
}

}  // namespace emulator::machine
