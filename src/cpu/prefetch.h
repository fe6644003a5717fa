// Fetches the rows of the next tile while this one is computed.
//
// Every iteration of the dot products asks for one more line, so that requests are spread over the whole tile and never
// queue up: for 16 heads, where a tile is computed in 9 us, this is what keeps memory out of sight.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"

namespace flash_mla::cpu {
namespace {

/// Memory without gaps.
struct Run {
  const char *begin, *end;
};

/// Where a block of iterations is in the runs.
struct PrefetchCursor {
  const char *line, *end;
  const Run* next;
  int64_t step;  // bytes
};

/// Asks for the line under the cursor and moves on.
FLASH_MLA_INLINE void fetch(PrefetchCursor& at) {
  __builtin_prefetch(at.line, 0, 2);
  at.line += at.step;
  if (__builtin_expect(at.line >= at.end, 0)) {
    at.line = at.next->begin;
    at.end = at.next->end;
    ++at.next;
  }
}

class Prefetcher {
 public:
  /// Nothing to fetch.
  void clear() {
    count_ = 0;
    bytes_ = 0;
    start(1);
  }
  /// More memory to fetch. What comes after too many gaps is left to the hardware's prefetchers.
  void add(const void* data, int64_t bytes) {
    const char* begin = static_cast<const char*>(data);
    if (count_ > 0 && runs_[count_ - 1].end == begin) {
      runs_[count_ - 1].end += bytes;
    } else if (count_ == kMostRuns) {
      return;
    } else {
      runs_[count_++] = {begin, begin + bytes};
    }
    bytes_ += bytes;
  }
  /// The blocks until the next tile will make about this many iterations.
  void start(int64_t iterations) {
    const char* here = reinterpret_cast<const char*>(this);
    runs_[count_] = {here, reinterpret_cast<const char*>(UINTPTR_MAX)};  // NOLINT(performance-no-int-to-ptr)
    const int64_t share = bytes_ == 0 ? 0 : bytes_ / maximum(1, iterations) + 1;
    surplus_ = maximum(0, share - kLine);
    if (share <= 2 * kLine) translate();
    cursor_ = {runs_[0].begin, runs_[0].end, runs_ + 1, minimum(share, kLine)};
  }

  /// Asks for everything at once.
  void rush() {
    for (int i = 0; i < count_; ++i) {
      for (const char* line = runs_[i].begin; line < runs_[i].end; line += kLine) __builtin_prefetch(line, 0, 2);
    }
  }

  /// For a block of that many iterations, each with one fetch().
  FLASH_MLA_INLINE PrefetchCursor begin(Prefetcher& self, int64_t iterations) {
    PrefetchCursor at = self.cursor_;
    // More than a line an iteration: those at once.
    for (int64_t bytes = self.surplus_ * iterations; bytes > 0; bytes -= kLine) fetch(at);
    return at;
  }
  FLASH_MLA_INLINE void end(Prefetcher& self, const PrefetchCursor& at) { self.cursor_ = at; }

 private:
  static constexpr int64_t kLine = 64;
  // Zen 4 keeps the translations of four neighbouring 4 KiB pages as one. Huge pages need fewer, but a hypervisor may
  // have split them.
  static constexpr int64_t kTranslated = 16 * 1024;
  static constexpr int kMostRuns = 2 * kMaxTileKeys;

  /// Starts all address translations at once: later, one by one, each would hold up the dot products behind it. Where
  /// memory binds there is nothing to be held up, and 4 to 5 % to be lost.
  void translate() {
    for (int i = 0; i < count_; ++i) {
      for (const char* line = runs_[i].begin; line < runs_[i].end; line += kTranslated) __builtin_prefetch(line, 0, 2);
    }
  }

  Run runs_[kMostRuns + 1];
  int count_ = 0;
  int64_t bytes_ = 0, surplus_ = 0;
  PrefetchCursor cursor_;
};

}  // namespace
}  // namespace flash_mla::cpu
