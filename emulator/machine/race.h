// Who accessed each byte of shared memory last, and which of these accesses are ordered.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "machine/clock.h"

namespace emulator::machine {

struct Access {
  Agent agent = 0;
  uint32_t time = 0;  // the agent's
  uint32_t op = 0;
  uint16_t bytes = 0;  // of its chunk, a bit each
  bool write = false;
  bool async = false;  // by the async proxy
};

struct Conflict {
  Access earlier;
  bool missing_fence = false;  // ordered, but not across the proxies
};

/// Shadow of a CTA's shared memory in chunks of 16 bytes.
class RaceShadow {
 public:
  static constexpr uint32_t kChunk = 16;

  void resize(uint32_t bytes) { chunks_.assign((bytes + kChunk - 1) / kChunk, {}); }
  [[nodiscard]] bool empty() const { return chunks_.empty(); }

  /// Records an access to chunk number `chunk`, by someone who knows `known`, and returns the first earlier access that
  /// it conflicts with.
  std::optional<Conflict> access(uint32_t chunk, const Access& now, const Knowledge& known);

 private:
  static constexpr uint32_t kKept = 6;
  struct Chunk {
    uint32_t count = 0;
    Access accesses[kKept];
  };
  static void remember(Chunk& chunk, const Access& now);
  std::vector<Chunk> chunks_;
};

}  // namespace emulator::machine
