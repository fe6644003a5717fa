// Who accessed each byte of a memory last, and which of these accesses are ordered.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "machine/clock.h"
#include "machine/lane_order.h"

namespace emulator::machine {

constexpr int8_t kNoLane = -128;    // of no lane alone
constexpr int8_t kManyLanes = 127;  // of several lanes at once
constexpr uint8_t kOneLane = 7;     // lane_bits of an access that is one lane's, however long

struct Access {
  uint32_t cluster = 0;
  Agent agent = 0;
  uint32_t time = 0;  // the agent's
  uint32_t op = 0;
  uint16_t bytes = 0;  // of its chunk, a bit each
  /// The lane that accessed byte 0 of the chunk; it and those that follow have 1 << lane_bits bytes each. Of what an
  /// engine does for a lane, that lane.
  int8_t lane = kNoLane;
  uint8_t lane_bits : 3 = 0;
  bool write : 1 = false;
  bool async : 1 = false;           // by the async proxy
  Scope strong : 2 = Scope::none;   // an atomic operation, or a load or a store that is not weak
  bool constant : 1 = false;        // ld.global.nc: nobody may write there during the launch

  [[nodiscard]] uint32_t lane_of(uint32_t byte) const {
    return static_cast<uint32_t>(lane + static_cast<int>(byte >> lane_bits));
  }
  /// A read of the same bytes by the same lanes as another.
  [[nodiscard]] bool repeats(const Access& other) const {
    return agent == other.agent && cluster == other.cluster && bytes == other.bytes && lane == other.lane &&
           lane_bits == other.lane_bits && write == other.write && strong == other.strong && constant == other.constant;
  }
  /// For an access that starts `further` bytes on, or back if that is negative.
  void move_lane(int further) {
    if (lane != kNoLane && lane != kManyLanes && lane_bits != kOneLane) {
      lane = static_cast<int8_t>(lane + (further >> lane_bits));  // even: lanes start at multiples of their bytes
    }
  }
};

struct Conflict {
  enum class Kind : uint8_t { unordered, lanes, proxy, constant };
  Kind kind;
  Access earlier;
};

/// What is known to who accesses.
struct View {
  const Knowledge& known;
  uint32_t warps_per_cta;
  const LaneOrder* lanes;  // of the warp that accesses, or whose lane lets an engine do it; null: of no lane
  Agent warp, copies;      // that warp, and its cp.async
};

/// The accesses to 16 bytes that later ones may conflict with.
constexpr uint32_t kChunk = 16;

/// The first of `count` accesses that `now` conflicts with; makes them the accesses after it, at most `most`.
std::optional<Conflict> access_chunk(Access* kept, uint32_t& count, uint32_t most, const Access& now, const View& view);

/// A cache line holds the first three.
template <uint32_t kMost>
class alignas(64) Chunk {
 public:
  std::optional<Conflict> access(const Access& now, const View& view) {
    if (!now.write && count_ != 0 && now.repeats(accesses_[count_ - 1])) {
      // What was known to be before that read is known now.
      accesses_[count_ - 1] = now;
      return std::nullopt;
    }
    return access_chunk(accesses_, count_, kMost, now, view);
  }
  [[nodiscard]] const Access* begin() const { return accesses_; }
  [[nodiscard]] const Access* end() const { return accesses_ + count_; }

 private:
  uint32_t count_ = 0;
  Access accesses_[kMost];
};

/// Calls f(chunk number, its bytes as a mask) for the chunks of [offset, offset + size).
template <class F>
void each_chunk_of(uint32_t offset, uint32_t size, F f) {
  const uint32_t end = offset + size;
  while (offset < end) {
    const uint32_t chunk = offset / kChunk, first = offset % kChunk;
    const uint32_t last = end - chunk * kChunk < kChunk ? end - chunk * kChunk : kChunk;
    f(chunk, static_cast<uint16_t>((0xffffu << first) & (0xffffu >> (16 - last))));
    offset = (chunk + 1) * kChunk;
  }
}

/// Shadow of a CTA's shared memory.
using SharedShadow = std::vector<Chunk<6>>;

}  // namespace emulator::machine
