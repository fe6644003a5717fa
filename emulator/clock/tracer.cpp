#include "clock/tracer.h"

#include <map>

#include "clock/tracer_lanes.h"

namespace emulator::clock {
namespace {

using machine::Op;
using machine::Warp;

constexpr uint16_t kLongestRun = UINT16_MAX;

/// What mbarrier.try_wait is given: a parity, or a state, which has it in its lowest bit.
uint32_t parity_of(Warp& warp, const Op& op, uint32_t lane) {
  return (op.kind == 1 ? warp.lanes<uint32_t>(op.src[1])[lane]
                       : static_cast<uint32_t>(warp.lanes<uint64_t>(op.src[1])[lane])) &
         1;
}

StepKind step_of(Kind kind) {
  switch (kind) {
    case Kind::wgmma:
      return StepKind::wgmma;
    case Kind::wgmma_commit:
      return StepKind::wgmma_commit;
    case Kind::wgmma_wait:
      return StepKind::wgmma_wait;
    case Kind::cluster_arrive:
      return StepKind::cluster_arrive;
    case Kind::cluster_wait:
      return StepKind::cluster_wait;
    case Kind::bulk_commit:
      return StepKind::bulk_commit;
    case Kind::bulk_wait:
      return StepKind::bulk_wait;
    case Kind::small_commit:
      return StepKind::small_commit;
    case Kind::small_wait:
      return StepKind::small_wait;
    case Kind::fence:
      return StepKind::fence;
    case Kind::dependents:
      return StepKind::dependents;
    case Kind::dependency_wait:
      return StepKind::dependency_wait;
    default:
      return StepKind::run;
  }
}

/// Whether a wait for an mbarrier will pass for all lanes. One that does not is announced again: it has its place in
/// the trace where it passes, after what other lanes of the warp did in the meantime.
bool passes(Warp& warp, const Op& op, uint32_t mask) {
  bool all = true;
  each_lane(mask, [&](uint32_t lane) {
    const auto found = warp.cta->mbarriers.find(static_cast<uint32_t>(warp.address(op, lane)) & machine::kOffsetMask);
    all &= found != warp.cta->mbarriers.end() && (found->second.phase & 1) != parity_of(warp, op, lane);
  });
  return all;
}

/// A wait that had to wait is announced twice.
bool is_repeated(const WarpTrace& steps, const Step& step) {
  return !steps.empty() && steps.back().op == step.op && steps.back().kind == step.kind && steps.back().a == step.a;
}

void add_plain(uint32_t op, WarpTrace& steps) {
  if (!steps.empty()) {
    Step& last = steps.back();
    if (last.kind == StepKind::run && last.op + last.count == op && last.count < kLongestRun) {
      ++last.count;
      return;
    }
  }
  steps.push_back({op, 1, StepKind::run, 0, 0});
}

}  // namespace

Tracer::Tracer(const machine::Program& program, const machine::LaunchShape& shape) {
  trace_.code = code_of(program);
  trace_.shape = shape;
  trace_.shared_bytes = program.static_shared_end - machine::kSharedStart + shape.dynamic_shared;
  trace_.registers = program.max_registers;
  const uint32_t warps = (shape.block[0] * shape.block[1] * shape.block[2] + machine::kLanes - 1) / machine::kLanes;
  trace_.ctas.assign(static_cast<size_t>(shape.grid[0]) * shape.grid[1] * shape.grid[2], std::vector<WarpTrace>(warps));
}

void Tracer::executes(Warp& warp, const Op& op, uint32_t mask) {
  const machine::Cta& cta = *warp.cta;
  const auto& grid = trace_.shape.grid;
  WarpTrace& steps = trace_.ctas[cta.id[0] + static_cast<size_t>(grid[0]) *
                                                 (cta.id[1] + static_cast<size_t>(grid[1]) * cta.id[2])][warp.id];
  const Kind kind = trace_.code->instructions[op.number].kind;
  if (kind == Kind::plain || mask == 0) return add_plain(op.number, steps);
  const uint32_t lane = first_lane(mask);
  switch (kind) {
    case Kind::memory:
      return add_memory(warp, op, mask, steps);
    case Kind::bulk_copy:
      return add_bulk_copy(warp, op, mask, steps);
    case Kind::small_copy:
      return add_small_copy(warp, op, mask, steps);
    case Kind::mbarrier_arrive:
      return add_arrivals(warp, op, mask, steps);
    case Kind::mbarrier_init:
      return each_lane(mask, [&](uint32_t each) {
        steps.push_back({op.number, 1, StepKind::mbarrier_init, absolute(warp, warp.address(op, each)),
                         warp.lanes<uint32_t>(op.src[1])[each]});
      });
    case Kind::mbarrier_wait: {
      const bool polls = op.flags == 0;  // test_wait, which does not wait
      if (passes(warp, op, mask)) {
        steps.push_back(
            {op.number, 1, StepKind::mbarrier_wait, absolute(warp, warp.address(op, lane)), parity_of(warp, op, lane)});
      } else if (polls) {
        add_plain(op.number, steps);
      }
      return;
    }
    case Kind::barrier_sync:
    case Kind::barrier_arrive: {
      const bool has_count = (op.flags & 1) != 0;  // barriers.cpp, kHasCount
      const uint32_t threads = has_count ? warp.lanes<uint32_t>(op.src[1])[lane] : 0;
      const auto count = static_cast<uint16_t>(has_count ? threads / machine::kLanes : cta.warps.size());
      const Step step{op.number, count, kind == Kind::barrier_sync ? StepKind::barrier_sync : StepKind::barrier_arrive,
                      warp.lanes<uint32_t>(op.src[0])[lane], 0};
      if (!is_repeated(steps, step)) steps.push_back(step);
      return;
    }
    default: {
      const Step step{op.number, 1, step_of(kind), 0, 0};
      const bool may_wait = kind == Kind::cluster_wait || kind == Kind::bulk_wait || kind == Kind::small_wait;
      if (!may_wait || !is_repeated(steps, step)) steps.push_back(step);
    }
  }
}

/// Lanes that arrive at one barrier count together.
void Tracer::add_arrivals(Warp& warp, const Op& op, uint32_t mask, WarpTrace& steps) {
  enum Flag : uint32_t { kExpects = 1, kArrives = 2, kHasOperand = 8 };  // mbarrier.cpp
  std::map<uint32_t, Step> by_address;
  each_lane(mask, [&](uint32_t lane) {
    const uint32_t operand = (op.flags & kHasOperand) != 0 ? warp.lanes<uint32_t>(op.src[1])[lane] : 1;
    const bool expects = (op.flags & kExpects) != 0;
    const uint32_t address = absolute(warp, warp.address(op, lane));
    Step& step =
        by_address.try_emplace(address, Step{op.number, 0, StepKind::mbarrier_arrive, address, 0}).first->second;
    if ((op.flags & kArrives) != 0) step.count = static_cast<uint16_t>(step.count + (expects ? 1 : operand));
    if (expects) step.b += operand;
  });
  for (const auto& [address, step] : by_address) steps.push_back(step);
}

}  // namespace emulator::clock
