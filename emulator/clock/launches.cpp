// Launches and their CTAs: what may start when and where, and what follows from an end.
#include <algorithm>
#include <limits>

#include "clock/simulation.h"
#include "support/format.h"

namespace emulator::clock {
namespace {

uint32_t threads_of(const LaunchTrace& trace) {
  return trace.shape.block[0] * trace.shape.block[1] * trace.shape.block[2];
}

uint32_t registers_of(const LaunchTrace& trace) {
  return trace.registers * threads_of(trace);
}

/// The index, x fastest, of a cluster's CTA.
uint32_t cta_index(const machine::LaunchShape& shape, uint32_t cluster, uint32_t rank) {
  uint32_t index = 0, stride = 1;
  for (size_t axis = 0; axis < 3; ++axis) {
    const uint32_t clusters = shape.grid[axis] / shape.cluster[axis];
    index += stride * (cluster % clusters * shape.cluster[axis] + rank % shape.cluster[axis]);
    cluster /= clusters;
    rank /= shape.cluster[axis];
    stride *= shape.grid[axis];
  }
  return index;
}

/// Up to `most` clocks that a CTA's start is off by, so that seeds differ.
double jitter(uint64_t seed, uint64_t number, double most) {
  uint64_t mixed = (seed * 0x9e3779b97f4a7c15ull + number) * 0xd6e8feb86659fd93ull;
  mixed ^= mixed >> 32;
  return static_cast<double>(mixed & 0xffff) / 65536 * most;
}

}  // namespace

std::string Simulation::refuse(const LaunchTrace& trace) const {
  SmState empty;
  if (!has_room(empty, trace)) return format("a CTA of {} does not fit into an SM", trace.code->name);
  const uint32_t size = trace.shape.cluster[0] * trace.shape.cluster[1] * trace.shape.cluster[2];
  const uint32_t most = *std::max_element(parameters_.sm_groups.begin(), parameters_.sm_groups.end());
  if (size > most) return format("a cluster of {} CTAs; a group has {} SMs", size, most);
  return {};
}

void Simulation::make_eligible(size_t number, double time) {
  LaunchState& launch = launches_[number];
  launch.is_eligible = true;
  launch.begin = time;
  launch.eligible = time + clocks(parameters_.launch_seconds);
  launch.first_start = std::numeric_limits<double>::infinity();
  may_place_ = true;
  for (SmState& sm : sms_) sm.l1.clear();
}

bool Simulation::has_room(const SmState& sm, const LaunchTrace& trace) const {
  const uint32_t shared = trace.shared_bytes + parameters_.shared_reserved;
  return sm.ctas < parameters_.ctas && sm.threads + threads_of(trace) <= parameters_.threads &&
         sm.shared_bytes + shared <= parameters_.shared_bytes &&
         sm.registers + registers_of(trace) <= parameters_.registers;
}

void Simulation::place_clusters(double until) {
  if (!may_place_) return;
  may_place_ = false;
  for (size_t i = 0; i < launches_.size(); ++i) {
    LaunchState& launch = launches_[i];
    if (!launch.is_eligible) return;
    if (launch.eligible > until) {
      may_place_ = true;
      return;
    }
    while (launch.clusters.size() < launch.cluster_count) {
      if (!place(launch, static_cast<uint32_t>(i))) return;
    }
  }
}

/// Onto the SMs of a group with the fewest CTAs; false: there is no room.
bool Simulation::place(LaunchState& launch, uint32_t launch_number) {
  const LaunchTrace& trace = *launch.trace;
  std::vector<SmState*> best, free;
  uint32_t fewest = UINT32_MAX;
  uint32_t first = 0;
  const auto consider = [&](uint32_t begin, uint32_t end) {
    free.clear();
    for (uint32_t i = begin; i < end; ++i) {
      if (has_room(sms_[i], trace)) free.push_back(&sms_[i]);
    }
    if (free.size() < launch.cluster_size) return;
    std::stable_sort(free.begin(), free.end(), [](const SmState* a, const SmState* b) { return a->ctas < b->ctas; });
    free.resize(launch.cluster_size);
    if (free.back()->ctas >= fewest) return;
    fewest = free.back()->ctas;
    best = free;
  };
  if (launch.cluster_size == 1) {
    consider(0, static_cast<uint32_t>(sms_.size()));
  } else {
    for (const uint32_t size : parameters_.sm_groups) {
      const uint32_t end = std::min(first + size, static_cast<uint32_t>(sms_.size()));
      if (first < end) consider(first, end);
      first = end;
    }
  }
  if (best.empty()) return false;
  launch.clusters.push_back(std::make_unique<ClusterState>());
  ClusterState& cluster = *launch.clusters.back();
  for (uint32_t rank = 0; rank < launch.cluster_size; ++rank) {
    cluster.ctas.push_back(std::make_unique<CtaState>());
    start_cta(launch, launch_number, cluster, rank, *best[rank]);
  }
  // A cluster's CTAs start together.
  double start = 0;
  for (const auto& cta : cluster.ctas) start = std::max(start, cta->start);
  for (const auto& cta : cluster.ctas) {
    cta->start = start;
    for (WarpState& warp : cta->warps) warp.time = start;
  }
  launch.first_start = std::min(launch.first_start, start);
  return true;
}

void Simulation::start_cta(LaunchState& launch, uint32_t launch_number, ClusterState& cluster, uint32_t rank,
                           SmState& sm) {
  const LaunchTrace& trace = *launch.trace;
  CtaState& cta = *cluster.ctas[rank];
  const auto number = static_cast<uint32_t>(launch.clusters.size() - 1);
  cta.launch = &launch;
  cta.launch_number = launch_number;
  cta.cluster = &cluster;
  cta.sm = &sm;
  cta.rank = rank;
  cta.index = cta_index(trace.shape, number, rank);
  const uint32_t place = number * launch.cluster_size + rank, sms = parameters_.sms;
  const uint32_t earlier_rounds = place / sms;
  const double turn = std::min(place, sms) * parameters_.cta_stagger + earlier_rounds * parameters_.cta_round;
  cta.start = std::max(launch.eligible + parameters_.cta_start + turn, sm.last_end + parameters_.cta_next) +
              jitter(parameters_.seed, cta.index, parameters_.cta_stagger * 8);
  const std::vector<WarpTrace>& traces = trace.ctas[cta.index];
  cta.warps.resize(traces.size());
  cta.tensor_groups.resize((traces.size() + 3) / 4);
  cta.live = static_cast<uint32_t>(traces.size());
  cluster.live += cta.live;
  for (uint32_t i = 0; i < traces.size(); ++i) {
    WarpState& warp = cta.warps[i];
    warp.cta = &cta;
    warp.id = i;
    warp.at = traces[i].data();
    warp.end = traces[i].data() + traces[i].size();
    warp.time = cta.start;
    warp.ready.assign(trace.code->registers, 0);
    sm.warps.push_back(&warp);
  }
  if (timeline_ != nullptr && launch_number == 0 && cta.index == timeline_->cta) sm.is_watched = true;
  ++sm.ctas;
  sm.threads += threads_of(trace);
  sm.shared_bytes += trace.shared_bytes + parameters_.shared_reserved;
  sm.registers += registers_of(trace);
}

void Simulation::finish_warp(SmState& sm, WarpState& warp) {
  CtaState& cta = *warp.cta;
  warp.state = WarpState::State::done;
  cta.launch->warp_time += warp.time - cta.start;
  std::erase(sm.warps, &warp);
  std::vector<float>().swap(warp.ready);
  --cta.cluster->live;
  settle_cluster(*cta.cluster);
  if (--cta.live == 0) finish_cta(cta);
}

void Simulation::finish_cta(CtaState& cta) {
  LaunchState& launch = *cta.launch;
  SmState& sm = *cta.sm;
  double end = 0;
  for (const WarpState& warp : cta.warps) end = std::max({end, warp.time, warp.all_done});
  sm.last_end = std::max(sm.last_end, end);
  --sm.ctas;
  sm.threads -= threads_of(*launch.trace);
  sm.shared_bytes -= launch.trace->shared_bytes + parameters_.shared_reserved;
  sm.registers -= registers_of(*launch.trace);
  launch.end = std::max(launch.end, end);
  may_place_ = true;
  release_next(cta, end);
  if (--launch.unfinished > 0) return;
  for (WarpState* const waiting : launch.waiting) wake(*waiting, launch.end + parameters_.dependency_wait);
  launch.last_cta = launch.end;
  launch.end += clocks(parameters_.end_seconds);
  launch.waiting.clear();
  const size_t next = static_cast<size_t>(&launch - launches_.data()) + 1;
  if (next == launches_.size()) return;
  if (!launches_[next].is_eligible) make_eligible(next, launch.end);
  // One that went ahead may have let its own dependent go, which had to wait for this one.
  if (launches_[next].holding == 0 && next + 1 < launches_.size() && launches_[next + 1].trace->is_programmatic &&
      !launches_[next + 1].is_eligible) {
    make_eligible(next + 1, std::max(launch.end, launches_[next].released));
  }
}

/// A CTA lets a programmatic launch go ahead: it has said so, or ended.
void Simulation::release_next(CtaState& cta, double time) {
  LaunchState& launch = *cta.launch;
  if (!cta.holds) return;
  cta.holds = false;
  launch.released = std::max(launch.released, time);
  if (--launch.holding > 0) return;
  const size_t next = cta.launch_number + size_t{1};
  if (next == launches_.size() || !launches_[next].trace->is_programmatic) return;
  const bool two_before_ended = cta.launch_number == 0 || launches_[cta.launch_number - 1].unfinished == 0;
  if (!two_before_ended || launches_[next].is_eligible) return;
  make_eligible(next, launch.released);
  launches_[next].eligible = launch.released + parameters_.dependent_start;
}

}  // namespace emulator::clock
