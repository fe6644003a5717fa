#include "machine/race.h"

namespace emulator::machine {

std::optional<Conflict> RaceShadow::access(uint32_t index, const Access& now, const Knowledge& known) {
  Chunk& chunk = chunks_[index];
  std::optional<Conflict> conflict;
  uint32_t kept = 0;
  bool merged = false;
  for (uint32_t i = 0; i < chunk.count; ++i) {
    Access& earlier = chunk.accesses[i];
    const auto common = static_cast<uint16_t>(earlier.bytes & now.bytes);
    if (common != 0 && !conflict) {
      const bool ordered = earlier.agent == now.agent || known.ordered.at(earlier.agent) >= earlier.time;
      if ((earlier.write || now.write) && !ordered) conflict = {earlier, false};
      // What the generic proxy wrote is the async proxy's to read or to overwrite after a proxy fence only.
      if (!conflict && earlier.write && !earlier.async && now.async && known.fenced.at(earlier.agent) < earlier.time) {
        conflict = {earlier, true};
      }
    }
    // A write replaces what it covers, and a read replaces the same agent's older reads: whoever is ordered after the
    // newer access is ordered after the older one, or that one has been reported.
    if (common != 0 && (now.write || (earlier.agent == now.agent && earlier.write == now.write))) {
      earlier.bytes = static_cast<uint16_t>(earlier.bytes & ~now.bytes);
    }
    if (earlier.agent == now.agent && earlier.time == now.time && earlier.op == now.op && earlier.write == now.write) {
      earlier.bytes |= now.bytes;
      merged = true;
    }
    if (earlier.bytes != 0) {
      if (kept != i) chunk.accesses[kept] = earlier;
      ++kept;
    }
  }
  chunk.count = kept;
  if (!merged) remember(chunk, now);
  return conflict;
}

void RaceShadow::remember(Chunk& chunk, const Access& now) {
  if (chunk.count == kKept) {
    // Drop the oldest read, or the oldest write where there are only writes.
    uint32_t victim = 0;
    while (victim < kKept && chunk.accesses[victim].write) ++victim;
    if (victim == kKept) victim = 0;
    for (uint32_t i = victim; i + 1 < kKept; ++i) chunk.accesses[i] = chunk.accesses[i + 1];
    --chunk.count;
  }
  chunk.accesses[chunk.count++] = now;
}

}  // namespace emulator::machine
