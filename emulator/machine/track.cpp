// From accesses of instructions and engines to the shadows of memory, and from conflicts to reports.
#include <bit>

#include "machine/access.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

const char* verb(bool write) {
  return write ? "write" : "read";
}

std::string lane_text(const Access& access, uint32_t byte) {
  if (access.lane == kManyLanes || access.lane == kNoLane) return "several lanes";
  return format("lane {}", access.lane_of(byte));
}

void report(Warp& warp, const Op& op, const std::string& where, const Access& now, const Conflict& conflict) {
  const Access& earlier = conflict.earlier;
  const Finding finding = conflict.kind == Conflict::Kind::proxy ? Finding::proxy : Finding::race;
  Reports& reports = *warp.cta->launch().reports;
  if (reports.known(finding, op.number, earlier.op)) return;
  const Cluster& cluster = *warp.cta->cluster;
  const Program& program = warp.cta->program();
  const auto who = [&](const Access& access) {
    return name_of(cluster.launch->shape, access.cluster, access.agent);
  };
  const char* relation = "is not ordered after";
  if (conflict.kind == Conflict::Kind::proxy) relation = "is not separated by a proxy fence from";
  if (conflict.kind == Conflict::Kind::constant) relation = "is .nc, of memory that is not constant after";
  std::string lanes;
  if (conflict.kind == Conflict::Kind::lanes) {
    const auto byte = static_cast<uint32_t>(std::countr_zero(static_cast<uint32_t>(earlier.bytes)));
    lanes = format(": {} then, {} now, and no bar.warp.sync in between", lane_text(earlier, byte), lane_text(now, byte));
  }
  reports.add(finding, op.number, earlier.op,
              format("{}: {} of {} by {} at {} {} the {} by {} at {}{}", machine::name_of(finding), verb(now.write), where,
                     now.agent == warp.agent ? warp.name() : who(now) + " (issued by " + warp.name() + ")",
                     program.where(op.number), relation, verb(earlier.write), who(earlier), program.where(earlier.op),
                     lanes));
}

}  // namespace

void report_conflict(Warp& warp, const Op& op, const Cta& owner, uint32_t offset, const Access& now,
                     const Conflict& conflict) {
  report(warp, op, format("shared {:#x} of {}", offset, owner.name()), now, conflict);
}

namespace {

View view_of(const Warp& warp, const Knowledge& known, bool of_lanes) {
  const Cluster& cluster = *warp.cta->cluster;
  return {known, cluster.warps_per_cta(), of_lanes ? &warp.lane_order : nullptr, warp.agent, cluster.copy_agent(warp)};
}

void access_shared(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t size, const Access& access,
                   const View& view) {
  if (owner.race.empty()) return;
  each_chunk_of(offset, size, [&](uint32_t chunk, uint16_t bytes) {
    Access now = access;
    now.bytes = bytes;
    now.move_lane(static_cast<int>(chunk * kChunk) - static_cast<int>(offset));
    if (const auto conflict = owner.race[chunk].access(now, view)) {
      report_conflict(warp, op, owner, std::max(offset, chunk * kChunk), now, *conflict);
    }
  });
}

void access_global(Warp& warp, const Op& op, uint64_t address, uint32_t size, const Access& access, const View& view) {
  LaunchState& launch = warp.cta->launch();
  if (const auto found = launch.global->access(address, size, access, view)) {
    report(warp, op, format("global {:#x}", found->address), access, found->conflict);
  }
  if (launch.before == nullptr) return;
  launch.before->check(warp, op, address, size, access.write, warp.cta->cluster->knows_prerequisites(view.known));
}

Access plain_access(const Warp& warp, const Op& op, Use use) {
  Access access;
  access.cluster = warp.cta->cluster->number;
  access.agent = warp.agent;
  access.time = warp.time();
  access.op = op.number;
  access.write = use == Use::write;
  access.strong = op.scope;
  access.constant = op.constant;
  return access;
}

Access engine_access(const Warp& warp, const Op& op, Use use, const Engine& engine) {
  Access access = plain_access(warp, op, use);
  access.agent = engine.agent;
  access.time = engine.time;
  access.async = engine.async;
  access.lane = engine.lane;
  access.lane_bits = kOneLane;
  access.strong = Scope::none;
  return access;
}

/// Calls f(first lane, bytes, several lanes touch the same) for lanes that follow each other in memory.
template <class F>
void each_run(const Touches& touches, uint32_t size, F f) {
  for (uint32_t rest = touches.mask; rest != 0;) {
    const auto first = static_cast<uint32_t>(std::countr_zero(rest));
    Cta* const owner = touches.owner[first];
    const uint64_t at = touches.at[first];
    uint32_t count = 1;
    bool same = false;
    rest &= rest - 1;
    for (uint32_t lane = first + 1; lane < kLanes && (rest >> lane & 1) != 0 && touches.owner[lane] == owner; ++lane) {
      if (!same && touches.at[lane] == at + uint64_t{count} * size) {
        ++count;
      } else if (count == 1 && touches.at[lane] == at) {
        same = true;
      } else {
        break;
      }
      rest &= rest - 1;
    }
    f(first, count * size, same);
  }
}

}  // namespace

namespace {

void track_runs(Warp& warp, const Op& op, const Touches& touches, uint32_t size, Use use) {
  const View view = view_of(warp, warp.knowledge, true);
  Access access = plain_access(warp, op, use);
  access.lane_bits = std::countr_zero(size) & 7;
  each_run(touches, size, [&](uint32_t first, uint32_t bytes, bool same) {
    // What several lanes write at once, each of them has written itself, as they mean to write the same.
    access.lane = !same ? static_cast<int8_t>(first) : use == Use::write ? kNoLane : kManyLanes;
    if (Cta* const owner = touches.owner[first]) {
      access_shared(warp, op, *owner, static_cast<uint32_t>(touches.at[first]), bytes, access, view);
    } else {
      access_global(warp, op, touches.at[first], bytes, access, view);
    }
  });
}

/// What a weak access says to others is nothing, but it may end what a flag has said.
template <class F>
void each_flag(const Touches& touches, F f) {
  for (uint32_t rest = touches.mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    f(Flags::word_of(touches.owner[lane], touches.at[lane]));
  }
}

}  // namespace

void track_lanes(Warp& warp, const Op& op, const Touches& touches, uint32_t size, Use use) {
  Flags& flags = warp.cta->launch().flags;
  if (use == Use::read && op.scope != Scope::none) {
    each_flag(touches, [&](uint64_t word) { flags.read(warp, op, word); });
  }
  track_runs(warp, op, touches, size, use);
  if (use == Use::write && (op.scope != Scope::none || !flags.empty())) {
    each_flag(touches, [&](uint64_t word) { flags.write(warp, op, word, false); });
  }
}

void track_atomics(Warp& warp, const Op& op, const Touches& touches, uint32_t size) {
  Flags& flags = warp.cta->launch().flags;
  // Whoever does not get the old value has not read it.
  if (op.results != 0) each_flag(touches, [&](uint64_t word) { flags.read(warp, op, word); });
  track_runs(warp, op, touches, size, Use::write);
  each_flag(touches, [&](uint64_t word) { flags.write(warp, op, word, true); });
}

void track_together(Warp& warp, const Op& op, Cta& owner, uint32_t offset, Use use) {
  Access access = plain_access(warp, op, use);
  access.lane = kManyLanes;
  access_shared(warp, op, owner, offset, kChunk, access, view_of(warp, warp.knowledge, true));
}

Tracker tracker_of(const Warp& warp, const Op& op, Use use, const Engine& engine, const Knowledge& known) {
  Tracker tracker{engine_access(warp, op, use, engine), view_of(warp, known, engine.lane != kNoLane)};
  tracker.access.bytes = 0xffff;
  return tracker;
}

void track_shared(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t size, Use use, const Engine& engine) {
  const Tracker tracker = tracker_of(warp, op, use, engine, warp.knowledge);
  access_shared(warp, op, owner, offset, size, tracker.access, tracker.view);
}

void track_global(Warp& warp, const Op& op, uint64_t address, uint64_t size, Use use, const Engine& engine,
                  bool atomic) {
  Access access = engine_access(warp, op, use, engine);
  if (atomic) access.strong = Scope::device;
  access_global(warp, op, address, static_cast<uint32_t>(size), access,
                view_of(warp, warp.knowledge, engine.lane != kNoLane));
}

}  // namespace emulator::machine
