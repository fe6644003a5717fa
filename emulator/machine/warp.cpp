#include "machine/warp.h"

#include <bit>
#include <cstring>

#include "machine/address.h"
#include "machine/cta.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

void fill_special(Warp& warp, const Program::Special& special);

}  // namespace

void Warp::start(Cta& owner, uint32_t number, uint32_t lane_count) {
  cta = &owner;
  id = number;
  agent = owner.rank * owner.cluster->warps_per_cta() + number;
  live = lane_count == kLanes ? kAllLanes : (1u << lane_count) - 1;
  const Program& program = owner.program();
  registers_ = std::make_unique<uint8_t[]>(static_cast<size_t>(program.slots) * kSlotBytes);
  written_.assign(program.slots, 0);
  flight.assign(program.slots, {});
  write_epochs.assign(program.slots, 0);
  for (const Program::Constant& constant : program.constants) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      constant.wide ? lanes<uint64_t>(constant.slot)[lane] = constant.value
                    : lanes<uint32_t>(constant.slot)[lane] = static_cast<uint32_t>(constant.value);
    }
    mark_written(constant.slot, kAllLanes);
  }
  for (const Program::Special& special : program.specials) fill_special(*this, special);
  fragments_.assign(1, {live, 0, {}});
  knowledge.ordered.set(agent, 1);
}

void Warp::acquire(const Knowledge& news) {
  lane_order.meet_all(news.ordered.at(agent), news.ordered.at(cta->cluster->copy_agent(*this)));
  knowledge.join(news);
  // What came back to this cluster by way of others.
  if (news.elsewhere == nullptr) return;
  const auto own = news.elsewhere->find(cta->cluster->number);
  if (own == news.elsewhere->end()) return;
  knowledge.ordered.join(own->second.ordered);
  knowledge.fenced.join(own->second.fenced);
}

void Warp::meet(uint32_t mask) {
  if (mask == live) {
    lane_order.meet_all(time(), knowledge.ordered.at(cta->cluster->copy_agent(*this)));
  } else {
    lane_order.meet(time(), mask);
  }
  release();
}

std::string Warp::name() const {
  return format("CTA ({},{},{}) warp {}", cta->id[0], cta->id[1], cta->id[2], id);
}

void Warp::fault(const Op& op, Finding finding, const std::string& message) const {
  throw Fault{{finding,
               format("{}: {} in {} at {}", name_of(finding), message, name(), cta->program().where(op.number)), true}};
}

void Warp::report(const Op& op, Finding finding, const std::string& message) const {
  cta->launch().reports->add(
      finding, op.number, op.number,
      format("{}: {} in {} at {}", name_of(finding), message, name(), cta->program().where(op.number)));
}

std::string Warp::describe() const {
  std::string text;
  for (const Fragment& fragment : fragments_) {
    text += format("  {} lanes {:08x} at {}: ", name(), fragment.mask, cta->program().where(fragment.pc));
    switch (fragment.wait.what) {
      case Wait::For::nothing:
        text += "can run\n";
        break;
      case Wait::For::gather:
        text += "waits for its other lanes\n";
        break;
      case Wait::For::barrier: {
        const NamedBarrier& barrier = cta->barriers[fragment.wait.a];
        text += format("waits at barrier {}, where {} of {} threads have arrived\n", fragment.wait.a, barrier.arrived,
                       barrier.expected);
        break;
      }
      case Wait::For::mbarrier: {
        const auto found = cta->mbarriers.find(fragment.wait.a);
        if (found == cta->mbarriers.end()) break;
        text += format("waits for phase {} of the mbarrier at shared {:#x}, which misses {} arrivals and {} bytes\n",
                       found->second.phase, fragment.wait.a, found->second.pending, found->second.transactions);
        break;
      }
      case Wait::For::warpgroup:
        text += "waits for the other warps of its warpgroup\n";
        break;
      case Wait::For::cluster_barrier:
        text +=
            format("waits at the cluster's barrier, where {} threads have arrived\n", cta->cluster->barrier_arrived);
        break;
      case Wait::For::bulk_groups:
        text += "waits for its bulk groups\n";
        break;
      case Wait::For::copy_groups:
        text += "waits for its cp.async groups\n";
        break;
    }
  }
  return text;
}

bool Warp::ready(const Fragment& fragment) const {
  const Wait& waited = fragment.wait;
  switch (waited.what) {
    case Wait::For::nothing:
      return true;
    case Wait::For::gather:
      return false;
    case Wait::For::barrier:
      return cta->barriers[waited.a].generation != waited.b;
    case Wait::For::mbarrier: {
      const auto found = cta->mbarriers.find(waited.a);
      return found == cta->mbarriers.end() || (found->second.phase & 1) != waited.b;
    }
    case Wait::For::warpgroup:
      return cta->warpgroups[id / 4].generation != waited.b;
    case Wait::For::cluster_barrier:
      return cta->cluster->barrier_generation != waited.b;
    case Wait::For::bulk_groups: {
      uint32_t pending = 0;
      for (const auto& group : bulk_groups)
        pending += waited.b != 0 ? group->pending_reads != 0 : group->pending_writes != 0;
      return pending <= waited.a;
    }
    case Wait::For::copy_groups: {
      uint32_t pending = 0;
      for (const auto& group : copy_groups) pending += group->pending_writes != 0;
      return pending <= waited.a;
    }
  }
  return false;
}

/// Lanes further back go first, so that the lanes of a branch come together again at its end; now and then others do,
/// so that none waits forever for lanes that spin further back.
bool Warp::choose(size_t& chosen) {
  bool found = false;
  const bool any = fragments_.size() > 1 && cta->cluster->random(8) == 0;
  for (size_t i = 0; i < fragments_.size(); ++i) {
    if (!ready(fragments_[i])) continue;
    if (!found || (any ? cta->cluster->random(2) == 0 : fragments_[i].pc < fragments_[chosen].pc)) chosen = i;
    found = true;
  }
  return found;
}

uint32_t Warp::run(uint32_t budget) {
  uint32_t left = budget;
  size_t index = 0;
  while (left > 0 && choose(index)) run_fragment(index, left);
  return budget - left;
}

void Warp::check_sources(const Op& op, uint32_t mask) const {
  for (uint32_t i = 0; i < op.sources; ++i) {
    if (op.src[i] == kNoSlot) continue;
    const uint32_t missing = mask & ~written(op.src[i]);
    if (missing == 0) continue;
    report(op, Finding::uninitialised,
           format("a register is read before it is written, by lane {}", std::countr_zero(missing)));
  }
  if (wgmma_in_flight) check_flight(op);
}

/// Whether all lanes that the instruction gathers are here.
bool Warp::gathered(const Op& op, uint32_t mask) {
  if (op.gather == Gather::live) return mask == live;
  const uint32_t members = lanes<uint32_t>(op.src[5])[std::countr_zero(mask)];
  if ((members & mask) != mask)
    fault(op, Finding::operand, format("member mask {:#x} lacks executing lanes {:#x}", members, mask));
  const uint32_t wanted = members & live;
  return mask == wanted;
}

void Warp::run_fragment(size_t index, uint32_t& budget) {
  const Program& program = cta->program();
  const Op* const ops = program.ops.data();
  LaunchState& launch = cta->launch();
  const bool checks = launch.options.checks;
  uint64_t* const executions = launch.counters.executions.data();
  uint64_t threads = 0;
  const uint32_t budget_before = budget;
  Fragment* fragment = &fragments_[index];
  if (fragment->wait.what != Wait::For::nothing) {
    if (!fragment->wait.again) ++fragment->pc;
    fragment->wait = {};
  }
  uint32_t pc = fragment->pc, active = fragment->mask;
  const bool alone = fragments_.size() == 1;
  bool go_on = true;
  while (go_on && budget > 0) {
    const Op& op = ops[pc];
    uint32_t mask = active;
    if (op.guard != kNoSlot) {
      if (checks && (active & ~written(op.guard)) != 0)
        report(op, Finding::uninitialised, "a guard is read before it is written");
      const uint32_t guard = predicate(op.guard);
      mask &= op.guard_negated ? ~guard : guard;
    }
    --budget;
    if (mask == 0) {
      ++pc;
    } else if (op.flow == Flow::branch) {
      threads += static_cast<uint64_t>(std::popcount(mask));
      ++executions[pc];
      if (mask == active) {
        pc = op.target;
      } else {
        fragment->mask = active & ~mask;
        fragment->pc = pc + 1;
        fragments_.push_back({mask, op.target, {}});
        go_on = false;
        fragment = nullptr;
      }
    } else if (op.flow == Flow::exit) {
      threads += static_cast<uint64_t>(std::popcount(mask));
      ++executions[pc];
      live &= ~mask;
      active &= ~mask;
      ++pc;
      launch.last_progress = launch.counters.warp_instructions;
      if (active == 0) {
        fragments_.erase(fragments_.begin() + static_cast<std::ptrdiff_t>(index));
        go_on = false;
        fragment = nullptr;
      }
    } else if (op.gather != Gather::none && !gathered(op, mask)) {
      fragment->wait = {Wait::For::gather, 0, 0, true};
      ++budget;
      go_on = false;
    } else {
      if (checks) check_sources(op, mask);
      if (op.gather == Gather::members) meet(mask);
      const Outcome outcome = op.run(*this, op, mask);
      for (uint32_t i = 0; i < op.results; ++i) mark_written(op.dst[i], mask);
      if (outcome == Outcome::next) {
        threads += static_cast<uint64_t>(std::popcount(mask));
        ++executions[pc++];
      } else {
        if (outcome != Outcome::retry_when) {
          threads += static_cast<uint64_t>(std::popcount(mask));
          ++executions[pc];
        }
        if (outcome == Outcome::yield) {
          ++pc;
        } else {
          fragment->wait = wait;
          fragment->wait.again = outcome == Outcome::retry_when;
        }
        go_on = false;
      }
    }
    if (!alone && go_on) {
      // Lanes that stand here join; lanes further back go first.
      for (size_t i = 0; i < fragments_.size() && go_on; ++i) {
        const Fragment& other = fragments_[i];
        if (i != index && other.pc <= pc &&
            (other.wait.what == Wait::For::nothing || other.wait.what == Wait::For::gather)) {
          go_on = false;
        }
      }
    }
  }
  if (fragment != nullptr) {
    fragment->pc = pc;
    fragment->mask = active;
  }
  launch.counters.warp_instructions += budget_before - budget;
  launch.counters.thread_instructions += threads;
  if (!alone || fragments_.size() > 1 || fragment == nullptr) merge();
  // Lanes that wait for others of which some have exited in the meantime.
  for (Fragment& waiting : fragments_) {
    if (waiting.wait.what == Wait::For::gather && gathered(ops[waiting.pc], waiting.mask)) waiting.wait = {};
  }
}

/// Joins lanes that stand at the same instruction.
void Warp::merge() {
  const auto standing = [](const Fragment& fragment) {
    return fragment.wait.what == Wait::For::nothing || fragment.wait.what == Wait::For::gather;
  };
  for (size_t i = 0; i < fragments_.size(); ++i) {
    for (size_t j = i + 1; j < fragments_.size();) {
      if (fragments_[i].pc == fragments_[j].pc && standing(fragments_[i]) && standing(fragments_[j])) {
        fragments_[i].mask |= fragments_[j].mask;
        fragments_[i].wait = {};
        fragments_.erase(fragments_.begin() + static_cast<std::ptrdiff_t>(j));
      } else {
        ++j;
      }
    }
  }
}

namespace {

void fill_special(Warp& warp, const Program::Special& special) {
  const Cta& cta = *warp.cta;
  const LaunchShape& shape = cta.launch().shape;
  const std::string& name = special.name;
  const size_t axis = name.size() > 2 && name[name.size() - 2] == '.' ? static_cast<size_t>(name.back() - 'x') : 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t thread = warp.id * kLanes + lane;
    const uint32_t at[3] = {thread % shape.block[0], thread / shape.block[0] % shape.block[1],
                            thread / shape.block[0] / shape.block[1]};
    uint32_t value = 0;
    if (name.starts_with("%tid.")) {
      value = at[axis];
    } else if (name.starts_with("%ntid.")) {
      value = shape.block[axis];
    } else if (name.starts_with("%ctaid.")) {
      value = cta.id[axis];
    } else if (name.starts_with("%nctaid.")) {
      value = shape.grid[axis];
    } else if (name == "%laneid") {
      value = lane;
    } else if (name == "%warpid") {
      value = warp.id;
    } else if (name == "%nwarpid") {
      value = 64;
    } else if (name == "%nsmid") {
      value = 132;
    } else if (name == "%smid") {
      value = (cta.id[0] + cta.id[1] * shape.grid[0]) % 132;
    } else if (name == "%lanemask_eq") {
      value = 1u << lane;
    } else if (name == "%lanemask_lt") {
      value = (1u << lane) - 1;
    } else if (name == "%lanemask_le") {
      value = (2u << lane) - 1;
    } else if (name == "%lanemask_gt") {
      value = ~((2u << lane) - 1);
    } else if (name == "%lanemask_ge") {
      value = ~((1u << lane) - 1);
    } else if (name.starts_with("%clusterid.")) {
      value = cta.id[axis] / shape.cluster[axis];
    } else if (name.starts_with("%nclusterid.")) {
      value = shape.grid[axis] / shape.cluster[axis];
    } else if (name.starts_with("%cluster_ctaid.")) {
      value = cta.id[axis] % shape.cluster[axis];
    } else if (name.starts_with("%cluster_nctaid.")) {
      value = shape.cluster[axis];
    } else if (name == "%cluster_ctarank") {
      value = cta.rank;
    } else if (name == "%cluster_nctarank") {
      value = shape.cluster[0] * shape.cluster[1] * shape.cluster[2];
    } else if (name == "%dynamic_smem_size") {
      value = shape.dynamic_shared;
    } else if (name == "%total_smem_size") {
      value = cta.program().static_shared_end - kSharedStart + shape.dynamic_shared;
    }
    warp.lanes<uint32_t>(special.slot)[lane] = value;
  }
  warp.mark_written(special.slot, kAllLanes);
}

}  // namespace
}  // namespace emulator::machine
