// Memory: accesses of warps, and copies that go on by themselves.
#include <algorithm>

#include "clock/simulation.h"

namespace emulator::clock {
namespace {

/// Whether a line is in the far half of L2, by address and SM; the real function is not known.
bool is_far(Line line, uint32_t sm, uint64_t seed) {
  const uint64_t mixed = (number_of(line) + seed * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;
  return ((mixed >> 40 ^ sm) & 1) != 0;
}

}  // namespace

double Simulation::read(const CtaState& cta, double time, const Line* lines, size_t count,
                        MemorySystem::Latency latency) {
  const double l2 = memory_.l2_bytes(), hbm = memory_.hbm_bytes();
  const double there = memory_.read(time, lines, count, latency);
  cta.launch->l2 += memory_.l2_bytes() - l2;
  cta.launch->hbm += memory_.hbm_bytes() - hbm;
  return there;
}

double Simulation::write(const CtaState& cta, double time, const Line* lines, size_t count) {
  const double l2 = memory_.l2_bytes(), hbm = memory_.hbm_bytes();
  const double taken = memory_.write(time, lines, count);
  cta.launch->l2 += memory_.l2_bytes() - l2;
  cta.launch->hbm += memory_.hbm_bytes() - hbm;
  return taken;
}

void Simulation::post(CtaState& cta, double time, uint32_t address, uint32_t bytes, uint32_t arrivals,
                      int64_t expected) {
  cta.sm->events.push({time, events_++, &cta, address, bytes, arrivals, expected});
}

void Simulation::run_memory_step(SmState& sm, WarpState& warp, const Step& step) {
  CtaState& cta = *warp.cta;
  const LaunchTrace& trace = *cta.launch->trace;
  const Instruction& instruction = trace.code->instructions[step.op];
  const Line* const lines = trace.lines.data() + step.a;
  switch (step.kind) {
    case StepKind::load_copy:
    case StepKind::store_copy:
    case StepKind::send_copy:
      advance(warp, sources_ready(warp, instruction), Stall::operands);
      issue(sm, warp, 2);
      warp.time += parameters_.copy_issue;
      if (step.kind == StepKind::load_copy) return load_copy(sm, warp, trace.copies[step.a]);
      if (step.kind == StepKind::store_copy) return store_copy(sm, warp, trace.copies[step.a]);
      return send_copy(sm, warp, trace.copies[step.a]);
    case StepKind::bulk_commit:
      issue(sm, warp, 1);
      return warp.bulk.commit();
    case StepKind::bulk_wait: {
      issue(sm, warp, 1);
      const double done = warp.bulk.done(instruction.immediate);
      if (done > 0) advance(warp, done + parameters_.store_read, Stall::copies);
      return;
    }
    case StepKind::small_commit:
      issue(sm, warp, 1);
      return warp.small.commit();
    case StepKind::small_wait:
      issue(sm, warp, 1);
      return advance(warp, warp.small.done(instruction.immediate), Stall::copies);
    case StepKind::small_copy: {
      const double issued = std::max(issue(sm, warp, 1), sources_ready(warp, instruction));
      cta.launch->shared += step.b;
      const double there = step.count == 0
                               ? issued
                               : read(cta, issued, lines, step.count, {parameters_.load_hit, parameters_.load_miss});
      warp.small.open = std::max(warp.small.open, there);
      return;
    }
    case StepKind::global_load:
      return load_lines(sm, warp, instruction, lines, step.count);
    case StepKind::global_store: {
      const double start = std::max(issue(sm, warp, 1), sources_ready(warp, instruction));
      const double taken = write(cta, start, lines, step.count);
      warp.all_done = std::max(warp.all_done, taken + parameters_.store_latency);
      return;
    }
    case StepKind::shared: {
      double start = std::max(issue(sm, warp, 1), sources_ready(warp, instruction));
      start = std::max(start, sm.shared_port.pass(start, step.count) - step.count);
      cta.launch->shared += step.count;
      const double latency = parameters_.units[static_cast<size_t>(Unit::shared)].latency;
      const double done = start + latency + (step.count > 1 ? step.count : 0);
      if (instruction.is_store) warp.stores_issued = std::max(warp.stores_issued, start);
      warp.all_done = std::max(warp.all_done, done);
      return set_results(warp, instruction, done);
    }
    case StepKind::remote: {
      const double start = std::max(issue(sm, warp, 1), sources_ready(warp, instruction));
      const double passed = sm.remote_port.pass(start, step.b);
      const double done = passed + parameters_.remote_latency;
      if (instruction.is_store) warp.stores_issued = std::max(warp.stores_issued, passed);
      warp.all_done = std::max(warp.all_done, done);
      return set_results(warp, instruction, done);
    }
    default:
      return;
  }
}

void Simulation::load_lines(SmState& sm, WarpState& warp, const Instruction& instruction, const Line* lines,
                            size_t count) {
  const double start = std::max(issue(sm, warp, 1), sources_ready(warp, instruction));
  bool cached = true;
  double bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    cached &= !sm.l1.insert(number_of(lines[i])).second;
    bytes += bytes_of(lines[i]);
  }
  double done = start + parameters_.load_l1;
  if (!cached) {
    done = read(*warp.cta, start, lines, count, {parameters_.load_hit, parameters_.load_miss});
    done = std::max(done, start + bytes / parameters_.l2_bytes_an_sm + parameters_.load_hit);
  }
  warp.all_done = std::max(warp.all_done, done);
  set_results(warp, instruction, done);
}

/// L2 gives the lines once, whatever number of CTAs they go to; each SM takes them at its own width.
void Simulation::load_copy(SmState& sm, WarpState& warp, const Copy& copy) {
  CtaState& cta = *warp.cta;
  const Line* const lines = cta.launch->trace->lines.data() + copy.first_line;
  const double start = std::max(warp.time, sm.copy_free);
  const bool far = copy.lines != 0 && is_far(lines[0], sm.number, parameters_.seed);
  const bool multicast = (copy.ranks & (copy.ranks - 1)) != 0;
  const double extra = multicast ? parameters_.multicast_latency : 0;
  const double hit = parameters_.copy_hit + (far ? 1 : -1) * parameters_.copy_far_hit + extra;
  const double miss = parameters_.copy_miss + (far ? 1 : -1) * parameters_.copy_far_miss + extra;
  const double there = read(cta, start, lines, copy.lines, {hit, miss});
  const double width = std::max(copy.bytes / parameters_.l2_bytes_an_sm, parameters_.copy_least);
  for (uint32_t rank = 0; rank < cta.cluster->ctas.size(); ++rank) {
    if ((copy.ranks >> rank & 1) == 0) continue;
    CtaState& target = *cta.cluster->ctas[rank];
    double& port = target.sm->copy_free;
    port = std::max(start, port) + width;
    const double filled = std::max(there, port + parameters_.copy_hit + extra);
    // Fills take the port of shared memory when nobody else does.
    cta.launch->shared += copy.bytes / parameters_.shared_bytes_per_clock;
    post(target, filled, copy.barrier, copy.bytes, 0, 0);
    if (timeline_ != nullptr && target.sm->is_watched)
      timeline_->copies.push_back({target.launch_number, target.index, warp.id, start, filled});
  }
}

void Simulation::store_copy(SmState& sm, WarpState& warp, const Copy& copy) {
  CtaState& cta = *warp.cta;
  const double start = std::max(warp.time, sm.copy_free);
  sm.copy_free = start + copy.bytes / parameters_.l2_bytes_an_sm;
  cta.launch->shared += copy.bytes / parameters_.shared_bytes_per_clock;
  const double taken = write(cta, start, cta.launch->trace->lines.data() + copy.first_line, copy.lines);
  warp.bulk.open = std::max({warp.bulk.open, sm.copy_free, taken});
  warp.all_done = std::max(warp.all_done, warp.bulk.open + parameters_.store_latency);
}

void Simulation::send_copy(SmState& sm, WarpState& warp, const Copy& copy) {
  CtaState& cta = *warp.cta;
  const double passed = sm.remote_port.pass(warp.time, copy.bytes);
  cta.launch->shared += 2 * copy.bytes / parameters_.shared_bytes_per_clock;
  for (uint32_t rank = 0; rank < cta.cluster->ctas.size(); ++rank) {
    if ((copy.ranks >> rank & 1) == 0) continue;
    post(*cta.cluster->ctas[rank], passed + parameters_.remote_latency, copy.barrier, copy.bytes, 0, 0);
  }
}

}  // namespace emulator::clock
