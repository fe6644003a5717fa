// One SM: which warp goes next, and plain instructions.
//
// A warp issues in the order of the PTX without waiting for operands; an instruction starts when they are there and
// its unit is free. ptxas orders instructions so that this is nearly so: strict order is 14 % too slow on FlashMLA's
// kernels. What holds a warp back are branches, barriers, waits and its share of the issue slots.
#include <algorithm>
#include <limits>

#include "clock/simulation.h"

namespace emulator::clock {

using State = WarpState::State;

/// Runs the SM's warps up to a time; false: there was nothing to do.
bool Simulation::run_sm(SmState& sm, double until) {
  constexpr double kNever = std::numeric_limits<double>::infinity(), kTurn = 8;
  bool any = false;
  while (true) {
    WarpState* next = nullptr;
    double first = kNever, second = kNever;
    for (WarpState* const warp : sm.warps) {
      if (warp->state != State::running) continue;
      if (warp->time < first) {
        second = first;
        first = warp->time;
        next = warp;
      } else {
        second = std::min(second, warp->time);
      }
    }
    const double event = sm.events.empty() ? kNever : sm.events.top().time;
    if (event <= std::min(first, until)) {
      const Event top = sm.events.top();
      sm.events.pop();
      apply(top);
      any = true;
      continue;
    }
    if (next == nullptr || first >= until) return any;
    any = true;
    run_warp(sm, *next, std::min({second + kTurn, until, event}));
  }
}

void Simulation::run_warp(SmState& sm, WarpState& warp, double until) {
  constexpr int kMost = 64;  // instructions in a turn
  const std::vector<Instruction>& code = warp.cta->launch->trace->code->instructions;
  for (int i = 0; i < kMost && warp.time <= until && warp.state == State::running; ++i) {
    if (warp.at == warp.end) return finish_warp(sm, warp);
    const Step& step = *warp.at;
    ++warp.cta->launch->instructions;
    warp.op = step.op + warp.done_of_run;
    if (step.kind == StepKind::run) {
      run_instruction(sm, warp, code[warp.op]);
      if (++warp.done_of_run < step.count) continue;
      warp.done_of_run = 0;
      ++warp.at;
    } else {
      ++warp.at;
      run_step(sm, warp, step);
    }
  }
}

double Simulation::issue(SmState& sm, WarpState& warp, double clocks) {
  SmState::Part& part = sm.parts[warp.id % 4];
  const double at = std::max(warp.time, part.issue);
  part.issue = warp.time = at + clocks;
  warp.cta->launch->issue += clocks;
  return at;
}

double Simulation::sources_ready(const WarpState& warp, const Instruction& instruction) const {
  const uint32_t* const slots = warp.cta->launch->trace->code->slots.data();
  float ready = 0;
  for (uint32_t i = instruction.reads; i < instruction.reads_end; ++i) ready = std::max(ready, warp.ready[slots[i]]);
  return warp.cta->start + ready;
}

void Simulation::set_results(WarpState& warp, const Instruction& instruction, double time) {
  const uint32_t* const slots = warp.cta->launch->trace->code->slots.data();
  const auto ready = static_cast<float>(time - warp.cta->start);
  for (uint32_t i = instruction.writes; i < instruction.writes_end; ++i) warp.ready[slots[i]] = ready;
}

void Simulation::run_instruction(SmState& sm, WarpState& warp, const Instruction& instruction) {
  if (instruction.kind != Kind::plain) {  // for no lane
    issue(sm, warp, 1);
    return;
  }
  const double sources = sources_ready(warp, instruction);
  if (instruction.unit == Unit::free) return set_results(warp, instruction, sources);
  const UnitCost& cost = parameters_.units[static_cast<size_t>(instruction.unit)];
  const double twice = instruction.is_double ? 2 : 1;
  const double issued = issue(sm, warp, cost.issue * twice);
  if (instruction.unit == Unit::branch) {
    if (instruction.is_guarded) advance(warp, sources, Stall::operands);
    warp.time += instruction.is_guarded ? cost.latency / 2 : cost.latency;
    return;
  }
  double start = issued;
  if (instruction.unit == Unit::shuffle) {
    start = std::max(start, sources);
    start = std::max(start, sm.shared_port.pass(start, 1) - 1);
    warp.cta->launch->shared += 1;
  } else {
    double& unit = sm.parts[warp.id % 4].unit[static_cast<size_t>(instruction.unit)];
    start = std::max(start, unit);
    unit = start + cost.occupied * twice;
    start = std::max(start, sources);
    if (instruction.unit == Unit::transcendental) warp.cta->launch->transcendental += cost.occupied;
  }
  const double done = start + cost.latency + (instruction.is_double ? 2 : 0);
  warp.all_done = std::max(warp.all_done, done);
  set_results(warp, instruction, done);
}

void Simulation::note_stall(const WarpState& warp, Stall stall, double from, double to) {
  if (to <= from) return;
  LaunchState& launch = *warp.cta->launch;
  launch.stalls[static_cast<size_t>(stall)] += to - from;
  launch.stalls_by_op[warp.op][static_cast<size_t>(stall)] += to - from;
  if (timeline_ == nullptr || !warp.cta->sm->is_watched) return;
  timeline_->stalls.push_back({warp.cta->launch_number, warp.cta->index, warp.id, stall, from, to});
}

void Simulation::advance(WarpState& warp, double time, Stall stall) {
  note_stall(warp, stall, warp.time, time);
  warp.time = std::max(warp.time, time);
}

void Simulation::block(WarpState& warp, Stall stall) {
  warp.state = State::blocked;
  warp.stall = stall;
  warp.blocked_at = warp.time;
}

void Simulation::wake(WarpState& warp, double time) {
  note_stall(warp, warp.stall, warp.blocked_at, time);
  warp.time = std::max(warp.time, time);
  warp.state = State::running;
}

}  // namespace emulator::clock
