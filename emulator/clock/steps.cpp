// Synchronisation and tensor cores.
#include <algorithm>

#include "clock/simulation.h"
#include "machine/address.h"

namespace emulator::clock {

using State = WarpState::State;

void Simulation::run_step(SmState& sm, WarpState& warp, const Step& step) {
  CtaState& cta = *warp.cta;
  const Instruction& instruction = cta.launch->trace->code->instructions[step.op];
  TensorGroup& group = cta.tensor_groups[warp.id / 4];
  switch (step.kind) {
    case StepKind::wgmma:
      return run_wgmma(sm, warp, instruction);
    case StepKind::wgmma_commit:
      issue(sm, warp, 1);
      if (++warp.wgmma_commits > group.groups.size()) group.groups.push_back(group.open_end);
      return;
    case StepKind::wgmma_wait: {
      issue(sm, warp, 1);
      const int64_t last = static_cast<int64_t>(warp.wgmma_commits) - instruction.immediate;
      if (last <= 0) return;
      const double done = group.groups[static_cast<size_t>(last - 1)];
      return advance(warp, done + parameters_.wgmma_wait, Stall::tensor_result);
    }
    case StepKind::mbarrier_init: {
      issue(sm, warp, 1);
      MbarrierState& barrier = cta.mbarriers[step.a & machine::kOffsetMask];
      barrier = {};
      barrier.count = barrier.pending = step.b;
      return;
    }
    case StepKind::mbarrier_arrive:
      return arrive_at_mbarrier(sm, warp, step);
    case StepKind::mbarrier_wait:
      return wait_for_mbarrier(sm, warp, step);
    case StepKind::barrier_sync:
    case StepKind::barrier_arrive:
      return run_barrier(sm, warp, step);
    case StepKind::cluster_arrive:
      issue(sm, warp, 1);
      return arrive_at_cluster(warp);
    case StepKind::cluster_wait: {
      issue(sm, warp, 1);
      if (warp.cluster_arrival != cta.cluster->generation) return advance(warp, cta.cluster->released, Stall::cluster);
      cta.cluster->barrier.waiting.push_back(&warp);
      return block(warp, Stall::cluster);
    }
    case StepKind::fence:
      advance(warp, warp.all_done, Stall::fence);
      issue(sm, warp, 1);
      warp.time += parameters_.fence;
      return;
    case StepKind::dependents:
      issue(sm, warp, 1);
      return release_next(cta, warp.time);
    case StepKind::dependency_wait: {
      issue(sm, warp, 1);
      if (cta.launch_number == 0) return;
      LaunchState& before = launches_[cta.launch_number - 1];
      if (before.unfinished == 0)
        return advance(warp, before.last_cta + parameters_.dependency_wait, Stall::dependency);
      before.waiting.push_back(&warp);
      return block(warp, Stall::dependency);
    }
    default:
      return run_memory_step(sm, warp, step);
  }
}

/// The four warps of a group meet; the tensor cores take the products of all groups in turn.
void Simulation::run_wgmma(SmState& sm, WarpState& warp, const Instruction& instruction) {
  CtaState& cta = *warp.cta;
  TensorGroup& group = cta.tensor_groups[warp.id / 4];
  advance(warp, sources_ready(warp, instruction), Stall::operands);
  issue(sm, warp, 1);
  group.last_arrival = std::max(group.last_arrival, warp.time);
  group.waiting.push_back(&warp);
  block(warp, Stall::tensor_queue);
  if (++group.arrived < 4) return;

  const double arrival = group.last_arrival;
  const double start = std::max({arrival, group.last_start, sm.tensor_free});
  const double clocks = instruction.columns / parameters_.columns_per_tensor_clock;
  constexpr double kBytesAColumn = 32;  // k: 16 elements of 16 bits, or 32 of 8
  const double operands = instruction.columns * kBytesAColumn / parameters_.shared_bytes_per_clock +
                          (instruction.a_in_registers ? 0 : parameters_.a_wavefronts);
  const double read = sm.shared_port.pass(std::max(arrival, start - parameters_.operands_ahead), operands);
  const double end = std::max(start + clocks, read);
  sm.tensor_free = group.open_end = end;
  cta.launch->tensor += clocks;
  cta.launch->shared += operands;
  if (timeline_ != nullptr && sm.is_watched)
    timeline_->tensor.push_back({cta.launch_number, cta.index, warp.id / 4, start, end});
  const double taken =
      std::max(std::max(arrival, group.last_start) + parameters_.wgmma_issue, start - parameters_.wgmma_ahead);
  group.last_start = start;
  group.arrived = 0;
  group.last_arrival = 0;
  for (WarpState* const waiting : group.waiting) wake(*waiting, taken);
  group.waiting.clear();
}

void Simulation::run_barrier(SmState& sm, WarpState& warp, const Step& step) {
  BarrierState& barrier = warp.cta->barriers[step.a];
  warp.time = std::max(warp.time, warp.stores_issued);
  issue(sm, warp, 1);
  ++barrier.arrived;
  barrier.last = std::max(barrier.last, warp.time);
  if (step.kind == StepKind::barrier_sync) {
    barrier.waiting.push_back(&warp);
    block(warp, Stall::barrier);
  }
  if (barrier.arrived < step.count) return;
  for (WarpState* const waiting : barrier.waiting) wake(*waiting, barrier.last + parameters_.barrier);
  barrier = {};
}

void Simulation::arrive_at_cluster(WarpState& warp) {
  ClusterState& cluster = *warp.cta->cluster;
  BarrierState& barrier = cluster.barrier;
  warp.cluster_arrival = cluster.generation;
  ++barrier.arrived;
  barrier.last = std::max({barrier.last, warp.time, warp.stores_issued});
  settle_cluster(cluster);
}

void Simulation::settle_cluster(ClusterState& cluster) {
  BarrierState& barrier = cluster.barrier;
  if (barrier.arrived == 0 || barrier.arrived < cluster.live) return;
  ++cluster.generation;
  cluster.released = barrier.last + parameters_.cluster_barrier;
  for (WarpState* const waiting : barrier.waiting) wake(*waiting, cluster.released);
  barrier = {};
}

void Simulation::arrive_at_mbarrier(SmState& sm, WarpState& warp, const Step& step) {
  issue(sm, warp, 1);
  const uint32_t rank = step.a >> machine::kRankShift, offset = step.a & machine::kOffsetMask;
  CtaState& owner = *warp.cta->cluster->ctas[rank];
  if (rank != warp.cta->rank) {
    post(owner, std::max(warp.time, warp.stores_issued) + parameters_.remote_latency, offset, 0, step.count, step.b);
    return;
  }
  MbarrierState& barrier = owner.mbarriers[offset];
  barrier.bytes += step.b;
  barrier.pending -= std::min<uint32_t>(barrier.pending, step.count);
  settle_mbarrier(owner, offset, barrier, warp.time);
}

void Simulation::wait_for_mbarrier(SmState& sm, WarpState& warp, const Step& step) {
  const uint32_t offset = step.a & machine::kOffsetMask;
  const MbarrierState& barrier = warp.cta->mbarriers[offset];
  issue(sm, warp, 2);
  if ((barrier.phase & 1) != step.b) {
    return advance(warp, std::max(warp.time, barrier.completed) + parameters_.mbarrier, Stall::mbarrier);
  }
  warp.address = offset;
  warp.parity = step.b;
  block(warp, Stall::mbarrier);
}

void Simulation::settle_mbarrier(CtaState& cta, uint32_t address, MbarrierState& barrier, double time) {
  barrier.completed = std::max(barrier.completed, time);
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.pending = barrier.count;
  for (WarpState& warp : cta.warps) {
    const bool waits = warp.state == State::blocked && warp.stall == Stall::mbarrier && warp.address == address;
    if (waits && (barrier.phase & 1) != warp.parity) wake(warp, barrier.completed + parameters_.mbarrier);
  }
}

void Simulation::apply(const Event& event) {
  MbarrierState& barrier = event.cta->mbarriers[event.address];
  barrier.bytes += event.expected_bytes - static_cast<int64_t>(event.bytes);
  barrier.pending -= std::min(barrier.pending, event.arrivals);
  settle_mbarrier(*event.cta, event.address, barrier, event.time);
}

}  // namespace emulator::clock
