// What is left of each part of a schedule. A worker takes its own part from the front, in key order; one that has
// nothing left takes from the back of another's, so that a slow core loses work. Who runs a unit never changes its
// result.
#pragma once

#include <atomic>
#include <cstdint>

namespace flash_mla::dispatch {

class WorkQueues {
 public:
  static constexpr int64_t kStride = 64;  // a cache line a part

  explicit WorkQueues(void* memory) : memory_(static_cast<char*>(memory)) {}

  void fill(int part, int32_t begin, int32_t end) { range(part).store(pack(begin, end), std::memory_order_relaxed); }

  /// The unit that take_front() would return now, or -1.
  int32_t front(int part) {
    const uint64_t now = range(part).load(std::memory_order_relaxed);
    const uint32_t begin = static_cast<uint32_t>(now), end = static_cast<uint32_t>(now >> 32);
    return begin < end ? static_cast<int32_t>(begin) : -1;
  }
  /// The next unit, or -1.
  int32_t take_front(int part) {
    return take(
        part, [](uint32_t begin, uint32_t end) { return pack(begin + 1, end); },
        [](uint32_t begin, uint32_t) { return begin; });
  }
  int32_t take_back(int part) {
    return take(
        part, [](uint32_t begin, uint32_t end) { return pack(begin, end - 1); },
        [](uint32_t, uint32_t end) { return end - 1; });
  }

 private:
  static uint64_t pack(uint64_t begin, uint64_t end) { return end << 32 | begin; }

  std::atomic_ref<uint64_t> range(int part) {
    return std::atomic_ref(*reinterpret_cast<uint64_t*>(memory_ + part * kStride));
  }

  template <class Shrink, class Taken>
  int32_t take(int part, Shrink shrink, Taken taken) {
    std::atomic_ref<uint64_t> left = range(part);
    uint64_t now = left.load(std::memory_order_relaxed);
    while (true) {
      const uint32_t begin = static_cast<uint32_t>(now), end = static_cast<uint32_t>(now >> 32);
      if (begin >= end) return -1;
      if (left.compare_exchange_weak(now, shrink(begin, end), std::memory_order_relaxed))
        return static_cast<int32_t>(taken(begin, end));
    }
  }

  char* memory_;
};

}  // namespace flash_mla::dispatch
