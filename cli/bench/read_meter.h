// How fast some threads can read memory.
#pragma once

#include <cstdint>
#include <string>

#include "common/huge_pages.h"

namespace flash_mla::cli {

/// A buffer, shared out over the threads, that is read from end to end by loops of different shape.
class ReadMeter {
 public:
  /// `bytes` in all; rounded up to whole pages a thread. Throws std::bad_alloc.
  ReadMeter(int64_t bytes, int threads);

  /// Tries every loop `repetitions` times and keeps the fastest for measure(). Returns bytes/s.
  double choose_loop(int repetitions);
  /// One pass with the chosen loop, in bytes/s; or, over a small buffer, as many as take about a millisecond.
  [[nodiscard]] double measure() const;
  [[nodiscard]] const char* loop() const;

 private:
  [[nodiscard]] double measure(int loop, int64_t passes) const;

  Memory<char> memory_;
  int64_t slice_ = 0;
  int threads_;
  int loop_ = 0;
  int64_t passes_ = 1;
};

/// Bytes that no cache holds: four times the last level, at least 256 MiB.
int64_t uncached_bytes();

}  // namespace flash_mla::cli
