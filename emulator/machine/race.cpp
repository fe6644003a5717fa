#include "machine/race.h"

namespace emulator::machine {
namespace {

/// Accesses that are atomic towards each other.
bool morally_strong(const Access& a, const Access& b, uint32_t warps_per_cta) {
  if (a.strong == Scope::none || b.strong == Scope::none) return false;
  Scope needed = Scope::device;
  if (a.cluster == b.cluster) needed = a.agent / warps_per_cta == b.agent / warps_per_cta ? Scope::cta : Scope::cluster;
  return a.strong >= needed && b.strong >= needed;
}

bool same_lanes(const Access& a, const Access& b) {
  return a.lane == b.lane && a.lane_bits == b.lane_bits && a.lane != kManyLanes;
}

/// Whether each of the common bytes is one lane's, and the same lane's in both.
bool of_same_lanes(const Access& a, const Access& b, uint32_t common) {
  if (same_lanes(a, b)) return true;
  if (a.lane == kManyLanes || b.lane == kManyLanes) return false;
  for (uint32_t byte = 0; byte < kChunk; ++byte) {
    if ((common >> byte & 1) != 0 && a.lane_of(byte) != b.lane_of(byte)) return false;
  }
  return true;
}

/// Two accesses of one warp: whether lanes that met, or the same lanes, have accessed the common bytes.
bool lanes_ordered(const Access& earlier, const Access& now, uint32_t common, const LaneOrder& lanes) {
  if (lanes.all_ordered(earlier.time) || earlier.lane == kNoLane || now.lane == kNoLane || same_lanes(earlier, now)) {
    return true;
  }
  if (earlier.lane == kManyLanes || now.lane == kManyLanes) return false;
  for (uint32_t byte = 0; byte < kChunk; ++byte) {
    if ((common >> byte & 1) == 0) continue;
    if (!lanes.ordered(earlier.time, earlier.lane_of(byte), now.lane_of(byte))) return false;
  }
  return true;
}

std::optional<Conflict> conflict_of(const Access& earlier, const Access& now, uint32_t common, const View& view) {
  using Kind = Conflict::Kind;
  if (!earlier.write && !now.write) return std::nullopt;
  if (now.constant && earlier.write) return Conflict{Kind::constant, earlier};
  if (morally_strong(earlier, now, view.warps_per_cta)) return std::nullopt;
  if (earlier.cluster != now.cluster) {
    if (!view.known.knows(earlier.cluster, earlier.agent, earlier.time)) return Conflict{Kind::unordered, earlier};
    const bool needs_fence = earlier.write && !earlier.async && now.async;
    if (needs_fence && !view.known.knows_fenced(earlier.cluster, earlier.agent, earlier.time)) {
      return Conflict{Kind::proxy, earlier};
    }
    return std::nullopt;
  }
  const bool own = view.lanes != nullptr && earlier.agent == view.warp;
  // That lanes write the same word in one instruction is how they say the same thing.
  const bool together = earlier.op == now.op && earlier.write && now.write;
  if (own && !together && !lanes_ordered(earlier, now, common, *view.lanes)) return Conflict{Kind::lanes, earlier};
  if (earlier.agent == now.agent) return std::nullopt;
  if (view.known.ordered.at(earlier.agent) < earlier.time) return Conflict{Kind::unordered, earlier};
  // What the generic proxy wrote is the async proxy's to read or to overwrite after a proxy fence only.
  if (earlier.write && !earlier.async && now.async && view.known.fenced.at(earlier.agent) < earlier.time) {
    return Conflict{Kind::proxy, earlier};
  }
  // A lane that has waited for its cp.async does not speak for the other lanes.
  if (view.lanes != nullptr && earlier.agent == view.copies && !view.lanes->copies_ordered(earlier.time) &&
      !of_same_lanes(earlier, now, common)) {
    return Conflict{Kind::lanes, earlier};
  }
  return std::nullopt;
}

void remember(Access* kept, uint32_t& count, uint32_t most, const Access& now) {
  if (count == most) {
    // Drop the oldest read, or the oldest write where there are only writes.
    uint32_t victim = 0;
    while (victim < most && kept[victim].write) ++victim;
    if (victim == most) victim = 0;
    for (uint32_t i = victim; i + 1 < most; ++i) kept[i] = kept[i + 1];
    --count;
  }
  kept[count++] = now;
}

}  // namespace

std::optional<Conflict> access_chunk(Access* accesses, uint32_t& count, uint32_t most, const Access& now,
                                     const View& view) {
  std::optional<Conflict> conflict;
  uint32_t kept = 0;
  bool merged = false;
  Access added = now;
  for (uint32_t i = 0; i < count; ++i) {
    Access& earlier = accesses[i];
    const auto common = static_cast<uint16_t>(earlier.bytes & now.bytes);
    const bool same_agent = earlier.agent == now.agent && earlier.cluster == now.cluster;
    if (common != 0) {
      if (!conflict) conflict = conflict_of(earlier, now, common, view);
      // A write replaces what it covers, and a read replaces the same agent's older reads: whoever is ordered after the
      // newer access is ordered after the older one, or that one has been reported.
      if (now.write) {
        earlier.bytes = static_cast<uint16_t>(earlier.bytes & ~now.bytes);
      } else if (same_agent && !earlier.write) {
        const bool other_lanes = !same_lanes(earlier, now) && now.lane != kNoLane &&
                                 (view.lanes == nullptr || !view.lanes->all_ordered(earlier.time));
        if (other_lanes && (now.bytes & ~earlier.bytes) == 0) added.lane = kManyLanes;
        if (!other_lanes || added.lane == kManyLanes) {
          earlier.bytes = static_cast<uint16_t>(earlier.bytes & ~now.bytes);
        }
      }
    }
    if (earlier.bytes == 0) continue;
    if (same_agent && earlier.time == now.time && earlier.op == now.op && earlier.write == now.write &&
        earlier.lane == added.lane && earlier.lane_bits == added.lane_bits) {
      earlier.bytes |= now.bytes;
      merged = true;
    }
    if (kept != i) accesses[kept] = earlier;
    ++kept;
  }
  count = kept;
  if (!merged) remember(accesses, count, most, added);
  return conflict;
}

}  // namespace emulator::machine
