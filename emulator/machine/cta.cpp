#include "machine/cta.h"

#include <algorithm>
#include <bit>

#include "machine/launch.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

uint32_t warps_of(const LaunchShape& shape) {
  return (shape.block[0] * shape.block[1] * shape.block[2] + kLanes - 1) / kLanes;
}

/// The number in the grid of CTA `rank` of a cluster.
std::array<uint32_t, 3> cta_at(const LaunchShape& shape, uint32_t cluster, uint32_t rank) {
  std::array<uint32_t, 3> id{};
  for (size_t axis = 0; axis < 3; ++axis) {
    const uint32_t clusters = shape.grid[axis] / shape.cluster[axis];
    id[axis] = cluster % clusters * shape.cluster[axis] + rank % shape.cluster[axis];
    cluster /= clusters;
    rank /= shape.cluster[axis];
  }
  return id;
}

}  // namespace

Cta::Cta(Cluster& owner, std::array<uint32_t, 3> number, uint32_t rank_in_cluster)
    : cluster(&owner), id(number), rank(rank_in_cluster) {
  const LaunchState& state = *owner.launch;
  const uint32_t bytes = state.program->static_shared_end + state.shape.dynamic_shared;
  shared.assign(bytes, 0xff);
  initialised.assign(bytes / 8 + 2, 0);
  if (state.options.checks) race.resize((bytes + kChunk - 1) / kChunk);
  const uint32_t threads = state.shape.block[0] * state.shape.block[1] * state.shape.block[2];
  local.assign(static_cast<size_t>(threads) * state.program->local_bytes, 0xff);
  local_initialised.assign(local.size() / 8 + 2, 0);
  warps.resize((threads + kLanes - 1) / kLanes);
  warpgroups.resize((warps.size() + 3) / 4);
}

bool Cta::finished() const {
  return std::all_of(warps.begin(), warps.end(), [](const Warp& warp) { return warp.finished(); });
}

const Program& Cta::program() const {
  return *cluster->launch->program;
}

LaunchState& Cta::launch() const {
  return *cluster->launch;
}

std::string Cta::name() const {
  return format("CTA ({},{},{})", id[0], id[1], id[2]);
}

Cluster::Cluster(LaunchState& state, uint64_t position)
    : number(static_cast<uint32_t>(position)), launch(&state), engine_(state.options.seed * 1'000'003 + position) {
  const LaunchShape& shape = state.shape;
  const uint32_t threads = shape.block[0] * shape.block[1] * shape.block[2];
  warps_per_cta_ = warps_of(shape);
  const uint32_t count = shape.cluster[0] * shape.cluster[1] * shape.cluster[2];
  for (uint32_t rank = 0; rank < count; ++rank) {
    ctas.push_back(std::make_unique<Cta>(*this, cta_at(shape, number, rank), rank));
  }
  agents_ = prerequisite_agent() + 1;
  for (const auto& cta : ctas) {
    for (uint32_t i = 0; i < cta->warps.size(); ++i) {
      cta->warps[i].start(*cta, i, std::min(kLanes, threads - i * kLanes));
      order_.push_back(&cta->warps[i]);
    }
  }
}

bool Cluster::knows_prerequisites(const Knowledge& knowledge) const {
  const Agent agent = prerequisite_agent();
  if (knowledge.ordered.at(agent) != 0) return true;
  if (knowledge.elsewhere == nullptr) return false;
  return std::any_of(knowledge.elsewhere->begin(), knowledge.elsewhere->end(),
                     [agent](const auto& each) { return each.second.ordered.at(agent) != 0; });
}

std::string name_of(const LaunchShape& shape, uint32_t cluster, Agent agent) {
  const uint32_t per_cta = warps_of(shape);
  const uint32_t warps = per_cta * shape.cluster[0] * shape.cluster[1] * shape.cluster[2];
  if (agent >= 5 * warps) return "a bulk copy";
  const Agent warp = agent % warps;
  const std::array<uint32_t, 3> id = cta_at(shape, cluster, warp / per_cta);
  const std::string owner = format("CTA ({},{},{}) warp {}", id[0], id[1], id[2], warp % per_cta);
  switch (agent / warps) {
    case 0:
      return owner;
    case 1:
      return "wgmma of " + owner;
    case 3:
      return "cp.async of " + owner;
    default:
      return "a bulk store of " + owner;
  }
}

void Cluster::later(std::function<void()> action) {
  constexpr uint32_t kLongest = 48;  // in turns of all warps
  events_.push_back({tick_ + 1 + random(kLongest), std::move(action)});
}

bool Cluster::run_events(bool idle) {
  ++tick_;
  if (events_.empty()) return false;
  if (idle) {
    const auto first =
        std::min_element(events_.begin(), events_.end(), [](const Event& a, const Event& b) { return a.due < b.due; });
    tick_ = std::max(tick_, first->due);
  }
  bool any = false;
  for (size_t i = 0; i < events_.size();) {
    if (events_[i].due > tick_) {
      ++i;
      continue;
    }
    const std::function<void()> action = std::move(events_[i].action);
    if (i + 1 != events_.size()) events_[i] = std::move(events_.back());
    events_.pop_back();
    action();
    any = true;
  }
  if (any) launch->last_progress = launch->counters.warp_instructions;
  return any;
}

Cluster::State Cluster::step(uint32_t budget) {
  constexpr uint32_t kLongestTurn = 128;
  while (budget > 0) {
    std::shuffle(order_.begin(), order_.end(), engine_);
    uint32_t ran = 0;
    bool all_finished = true;
    for (Warp* const warp : order_) {
      if (warp->finished()) continue;
      all_finished = false;
      ran += warp->run(1 + random(kLongestTurn));
      if (warp->finished() && warp->cta->finished()) warp->cta->close();
    }
    settle_barrier();
    if (all_finished) {
      finish();
      return State::finished;
    }
    if (!run_events(ran == 0) && ran == 0) return State::stuck;
    if (launch->counters.warp_instructions - launch->last_progress > launch->options.patience) return State::stuck;
    budget -= std::min(budget, ran);
  }
  return State::running;
}

/// What is still on its way when the last thread has exited, and what was left in disorder.
void Cluster::finish() {
  while (!events_.empty()) run_events(true);
  for (const auto& cta : ctas) {
    for (uint32_t i = 0; i < cta->barriers.size(); ++i) {
      const NamedBarrier& barrier = cta->barriers[i];
      if (barrier.arrived == 0) continue;
      launch->reports->add(Finding::barrier, UINT32_MAX, i,
                           format("barrier: CTA ({},{},{}) exits with {} of {} threads arrived at barrier {}",
                                  cta->id[0], cta->id[1], cta->id[2], barrier.arrived, barrier.expected, i));
    }
    for (const auto& [offset, mbarrier] : cta->mbarriers) {
      if (mbarrier.transactions == 0) continue;
      launch->reports->add(
          Finding::transaction, UINT32_MAX, offset,
          format("transaction: CTA ({},{},{}) exits while the mbarrier at shared {:#x} misses {} bytes", cta->id[0],
                 cta->id[1], cta->id[2], offset, mbarrier.transactions));
    }
  }
}

void Cluster::settle_barrier() {
  if (barrier_arrived == 0) return;
  uint32_t live = 0;
  for (const auto& cta : ctas) {
    for (const Warp& warp : cta->warps) live += static_cast<uint32_t>(std::popcount(warp.live));
  }
  if (barrier_arrived < live) return;
  barrier_arrived = 0;
  ++barrier_generation;
  barrier_released = barrier_gathering;
  barrier_gathering.clear();
  launch->last_progress = launch->counters.warp_instructions;
}

std::string Cluster::describe_waiting() const {
  std::string text;
  for (const auto& cta : ctas) {
    for (const Warp& warp : cta->warps) text += warp.describe();
  }
  return text;
}

}  // namespace emulator::machine
