// A figure that one thread changes and any thread reads: plain loads and stores, no locked instruction.
#pragma once

#include <atomic>
#include <cstdint>

namespace flash_mla::kv_cache {

class Counter {
 public:
  Counter& operator+=(int64_t change) {
    value_.store(value_.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
    return *this;
  }
  Counter& operator-=(int64_t change) { return *this += -change; }
  Counter& operator=(int64_t value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  operator int64_t() const { return value_.load(std::memory_order_relaxed); }  // NOLINT(google-explicit-constructor)

 private:
  std::atomic<int64_t> value_{0};
};

}  // namespace flash_mla::kv_cache
