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

/// The usual case of conflict_of(): another agent of the cluster, whom no lane has to do with, and an order.
bool is_plainly_ordered(const Access& earlier, const Access& now, const View& view) {
  return earlier.cluster == now.cluster && earlier.agent != now.agent && !now.constant &&
         view.known.ordered.at(earlier.agent) >= earlier.time &&
         (!earlier.write || earlier.async || !now.async || view.known.fenced.at(earlier.agent) >= earlier.time) &&
         (view.lanes == nullptr || (earlier.agent != view.warp && earlier.agent != view.copies));
}

/// The access with its bytes and its lane in this chunk, which are passed apart: a store into a structure that is read
/// whole at once afterwards stalls.
Access at_chunk(const Access& access, uint16_t bytes, int8_t lane) {
  Access part = access;
  part.bytes = bytes;
  part.lane = lane;
  return part;
}

}  // namespace

std::optional<Conflict> access_chunk(Access* accesses, uint32_t& count, uint32_t most, const Access& now,
                                     uint16_t bytes, int8_t lane, const View& view) {
  std::optional<Conflict> conflict;
  uint32_t kept = 0;
  bool merged = false;
  int8_t lane_kept = lane;
  for (uint32_t i = 0; i < count; ++i) {
    Access& earlier = accesses[i];
    const auto common = static_cast<uint16_t>(earlier.bytes & bytes);
    const bool same_agent = earlier.agent == now.agent && earlier.cluster == now.cluster;
    if (common != 0) {
      if ((earlier.write || now.write) && !is_plainly_ordered(earlier, now, view) && !conflict) {
        conflict = conflict_of(earlier, at_chunk(now, bytes, lane), common, view);
      }
      // A write replaces what it covers, and a read replaces the same agent's older reads: whoever is ordered after the
      // newer access is ordered after the older one, or that one has been reported.
      if (now.write) {
        earlier.bytes = static_cast<uint16_t>(earlier.bytes & ~bytes);
      } else if (same_agent && !earlier.write) {
        const bool same = earlier.lane == lane && earlier.lane_bits == now.lane_bits && lane != kManyLanes;
        const bool other_lanes =
            !same && lane != kNoLane && (view.lanes == nullptr || !view.lanes->all_ordered(earlier.time));
        if (other_lanes && (bytes & ~earlier.bytes) == 0) lane_kept = kManyLanes;
        if (!other_lanes || lane_kept == kManyLanes) earlier.bytes = static_cast<uint16_t>(earlier.bytes & ~bytes);
      }
      if (earlier.bytes == 0) continue;
    }
    if (same_agent && earlier.time == now.time && earlier.op == now.op && earlier.write == now.write &&
        earlier.lane == lane_kept && earlier.lane_bits == now.lane_bits) {
      earlier.bytes = static_cast<uint16_t>(earlier.bytes | bytes);
      merged = true;
    }
    if (kept != i) accesses[kept] = earlier;
    ++kept;
  }
  count = kept;
  if (merged) return conflict;
  if (count == most) {
    // Drop the oldest read, or the oldest write where there are only writes.
    uint32_t victim = 0;
    while (victim < most && accesses[victim].write) ++victim;
    if (victim == most) victim = 0;
    for (uint32_t i = victim; i + 1 < most; ++i) accesses[i] = accesses[i + 1];
    --count;
  }
  Access& added = accesses[count++];
  added = now;
  added.bytes = bytes;
  added.lane = lane_kept;
  return conflict;
}

}  // namespace emulator::machine
