// Barriers of a CTA and of a cluster, fences, register pools (PTX ISA 9.0, sections 9.7.13.1 to 9.7.13.4, 9.7.19.5).
#include "machine/barriers.h"

#include <bit>

#include "machine/cta.h"
#include "machine/decoder.h"
#include "machine/lanes.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Type;

enum Kind : uint8_t { kSync, kArrive, kPopc, kAnd, kOr };
enum Flag : uint32_t { kHasCount = 1, kNegated = 2 };

uint32_t count_of(Warp& warp, const Op& op, uint32_t lane, uint32_t warps) {
  if ((op.flags & kHasCount) == 0) return warps * kLanes;
  const uint32_t count = warp.lanes<uint32_t>(op.src[1])[lane];
  if (count == 0 || count % kLanes != 0 || count > warps * kLanes) {
    warp.fault(op, Finding::barrier, format("a barrier of {} threads in a CTA of {} warps", count, warps));
  }
  return count;
}

void wake(Cta& cta, uint32_t id, uint32_t generation) {
  const NamedBarrier& barrier = cta.barriers[id];
  for (Warp& other : cta.warps) {
    for (const Fragment& fragment : other.fragments()) {
      const Wait& wait = fragment.wait;
      if (wait.what == Wait::For::barrier && wait.a == id && wait.b == generation)
        other.acquire(barrier.released);
    }
  }
}

void reduce_into(Warp& warp, const Op& op, uint32_t mask, NamedBarrier& barrier) {
  const uint32_t p = (warp.predicate(op.src[2]) ^ ((op.flags & kNegated) != 0 ? kAllLanes : 0)) & mask;
  const bool first = barrier.arrived == 0;
  switch (op.kind) {
    case kPopc:
      barrier.reduced = (first ? 0 : barrier.reduced) + static_cast<uint32_t>(std::popcount(p));
      break;
    case kAnd:
      barrier.reduced = (first ? 1 : barrier.reduced) & static_cast<uint32_t>(p == mask);
      break;
    default:
      barrier.reduced = (first ? 0 : barrier.reduced) | static_cast<uint32_t>(p != 0);
  }
}

void give_reduction(Warp& warp, const Op& op, uint32_t mask, uint32_t value) {
  if (op.kind == kPopc) {
    uint32_t* const d = warp.lanes<uint32_t>(op.dst[0]);
    each_lane(mask, [=](uint32_t lane) { d[lane] = value; });
  } else {
    uint32_t& d = warp.predicate(op.dst[0]);
    d = (value != 0 ? mask : 0) | (d & ~mask);
  }
}

Outcome barrier(Warp& warp, const Op& op, uint32_t mask) {
  Cta& cta = *warp.cta;
  const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
  const uint32_t id = warp.lanes<uint32_t>(op.src[0])[lane];
  if (id >= cta.barriers.size()) warp.fault(op, Finding::barrier, format("barrier {}; there are 16", id));
  NamedBarrier& barrier = cta.barriers[id];
  const uint32_t expected = count_of(warp, op, lane, static_cast<uint32_t>(cta.warps.size()));
  // A reduction's result is there when the instruction is run again after its wait.
  if (op.kind >= kPopc && warp.barrier_reduction && barrier.generation != warp.wait.b) {
    warp.barrier_reduction = false;
    give_reduction(warp, op, mask, barrier.last_reduced);
    return Outcome::next;
  }
  if (barrier.arrived != 0 && barrier.expected != expected) {
    warp.fault(op, Finding::barrier,
               format("barrier {} for {} threads, where others came for {}", id, expected, barrier.expected));
  }
  if (op.kind >= kPopc) reduce_into(warp, op, mask, barrier);
  barrier.expected = expected;
  // A warp counts whole, whatever lanes have exited.
  barrier.arrived += mask == warp.live ? kLanes : static_cast<uint32_t>(std::popcount(mask));
  if (barrier.arrived > expected) {
    warp.fault(op, Finding::barrier, format("{} threads arrive at barrier {} of {}", barrier.arrived, id, expected));
  }
  barrier.gathering.join(warp.knowledge);
  warp.release();
  LaunchState& launch = cta.launch();
  launch.last_progress = launch.counters.warp_instructions;
  if (barrier.arrived == expected) {
    barrier.released = barrier.gathering;
    barrier.gathering.clear();
    barrier.arrived = 0;
    barrier.last_reduced = barrier.reduced;
    const uint32_t generation = barrier.generation++;
    wake(cta, id, generation);
    if (op.kind == kArrive) return Outcome::next;
    warp.acquire(barrier.released);
    if (op.kind >= kPopc) give_reduction(warp, op, mask, barrier.last_reduced);
    return Outcome::next;
  }
  if (op.kind == kArrive) return Outcome::next;
  warp.wait = {Wait::For::barrier, id, barrier.generation, false};
  warp.barrier_reduction = op.kind >= kPopc;
  return op.kind >= kPopc ? Outcome::retry_when : Outcome::next_when;
}

// barrier.cluster; kind 0: arrive, 1: wait.
Outcome cluster_barrier(Warp& warp, const Op& op, uint32_t mask) {
  Cluster& cluster = *warp.cta->cluster;
  if (op.kind == 0) {
    if (warp.cluster_arrived)
      warp.fault(op, Finding::barrier, "a warp arrives twice at the cluster's barrier without a wait");
    warp.cluster_arrived = true;
    warp.cluster_arrival = cluster.barrier_generation;
    cluster.barrier_gathering.join(warp.knowledge);
    warp.release();
    cluster.barrier_arrived += static_cast<uint32_t>(std::popcount(mask));
    cluster.settle_barrier();
    return Outcome::next;
  }
  if (!warp.cluster_arrived) warp.fault(op, Finding::barrier, "a wait at the cluster's barrier without an arrival");
  if (cluster.barrier_generation == warp.cluster_arrival) {
    warp.wait = {Wait::For::cluster_barrier, 0, warp.cluster_arrival, false};
    return Outcome::retry_when;
  }
  warp.cluster_arrived = false;
  warp.acquire(cluster.barrier_released);
  return Outcome::next;
}

Outcome no_fence(Warp&, const Op&, uint32_t) {
  return Outcome::next;
}

Outcome memory_fence(Warp& warp, const Op& op, uint32_t) {
  Flags::fence(warp, op.scope);
  return Outcome::next;
}

/// Whatever this warp knows of, the async proxy sees from here on; so do mbarriers that it knows to be initialised.
Outcome proxy_fence(Warp& warp, const Op& op, uint32_t) {
  for (const auto& cta : warp.cta->cluster->ctas) {
    for (auto& [offset, mbarrier] : cta->mbarriers) {
      mbarrier.fenced |= warp.knowledge.ordered.at(mbarrier.initializer) >= mbarrier.initialized_at;
    }
  }
  if (op.kind == 0) {
    warp.knowledge.fence();
    warp.release();
  }
  return Outcome::next;
}

// The pool is 64 Ki registers a CTA's SM; every warp starts with what the launch gave it.
Outcome set_max_registers(Warp& warp, const Op& op, uint32_t) {
  const auto wanted = static_cast<uint32_t>(op.value);
  const uint32_t before = warp.max_registers;
  if (before != 0 && ((op.kind == 0 && wanted > before) || (op.kind == 1 && wanted < before))) {
    warp.fault(op, Finding::register_pool, format("setmaxnreg to {} from {} goes the other way", wanted, before));
  }
  warp.max_registers = wanted;
  uint32_t total = 0;
  for (const Warp& other : warp.cta->warps) total += other.max_registers * kLanes;
  if (total > 65536)
    warp.report(op, Finding::register_pool, format("the warps hold {} registers; an SM has 65536", total));
  return Outcome::next;
}

void decode_barrier(Decoder& d) {
  if (d.has("warp")) return decode_warp_barrier(d);
  if (d.take("cluster")) {
    d.op.kind = static_cast<uint8_t>(d.take_one_of({"arrive", "wait"}));
    d.take_one_of({"release", "relaxed", "acquire"}, 0);
    d.take("aligned");
    d.expect_operands(0);
    d.op.gather = Gather::live;
    d.op.run = cluster_barrier;
    return;
  }
  d.take("cta");
  const int form = d.take_one_of({"sync", "arrive", "red"});
  d.op.kind = static_cast<uint8_t>(form == 2 ? kPopc + d.take_one_of({"popc", "and", "or"}) : form);
  d.take("aligned");
  d.op.gather = Gather::live;
  d.op.run = barrier;
  if (form == 2) {
    if (d.take_type() != (d.op.kind == kPopc ? Type::u32 : Type::pred)) d.unsupported();
    d.expect_operands(3, 4);
    d.add_destination(0, d.op.kind == kPopc ? 32 : 1);
    d.add_source(1, 32);
    const bool counted = d.operand_count() == 4;
    d.op.flags |= counted ? kHasCount : 0u;
    d.op.src[1] = counted ? d.source(d.operand(2), 32) : d.constant(false, 0);
    const ptx::Operand& predicate = d.operand(counted ? 3 : 2);
    d.op.src[2] = d.source(predicate, 1);
    d.op.flags |= predicate.negated ? kNegated : 0u;
    d.op.sources = 3;
    return;
  }
  d.expect_operands(form == 1 ? 2 : 1, 2);
  d.add_source(0, 32);
  if (d.operand_count() == 2) {
    d.op.flags |= kHasCount;
    d.add_source(1, 32);
  }
}

void decode_fence(Decoder& d) {
  d.op.run = no_fence;
  if (d.take("proxy")) {
    const int proxy = d.take_one_of({"async", "async::generic", "alias", "tensormap::generic"});
    if (proxy == 1 || proxy == 3) d.unsupported();
    d.take_one_of({"shared::cta", "shared::cluster", "global"}, 0);
    if (proxy == 0) d.op.run = proxy_fence;
    d.expect_operands(0);
    return;
  }
  if (d.take("mbarrier_init")) {
    if (!d.take("release") || !d.take("cluster")) d.unsupported();
    d.op.kind = 1;
    d.op.run = proxy_fence;
  } else {
    d.take_one_of({"sc", "acq_rel", "acquire", "release"}, 0);
    d.op.scope = d.take_scope();
    d.op.run = memory_fence;
  }
  d.expect_operands(0);
}

}  // namespace

void add_barriers(DecodeTable& table) {
  table["bar"] = decode_barrier;
  table["barrier"] = decode_barrier;
  table["fence"] = decode_fence;
  table["membar"] = [](Decoder& d) {
    d.op.scope = d.take_scope();
    d.expect_operands(0);
    d.op.run = memory_fence;
  };
  table["setmaxnreg"] = [](Decoder& d) {
    d.op.kind = static_cast<uint8_t>(d.take_one_of({"dec", "inc"}));
    if (!d.take("sync") || !d.take("aligned") || d.take_type() != Type::u32) d.unsupported();
    d.expect_operands(1);
    d.op.value = d.immediate(d.operand(0));
    if (d.op.value < 24 || d.op.value > 256 || d.op.value % 8 != 0)
      d.fail("24 to 256 registers in steps of 8 are allowed");
    d.op.gather = Gather::live;
    d.op.run = set_max_registers;
  };
}

}  // namespace emulator::machine
