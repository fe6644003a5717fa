// Something that moves so many bytes a clock for all who ask, whatever the order in which they ask.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace emulator::clock {

class Bandwidth {
 public:
  explicit Bandwidth(double per_clock = 1) : capacity_(per_clock * kClocks), used_(kBuckets, 0), owner_(kBuckets, -1) {}

  /// When `amount`, wanted at `time`, has passed.
  double pass(double time, double amount) {
    int64_t bucket = std::max(static_cast<int64_t>(time / kClocks), first_free_);
    double end = time;
    total_ += amount;
    while (amount > kNothing) {
      double& used = used_of(bucket);
      const double free = capacity_ - used;
      if (free <= kNothing) {
        if (bucket == first_free_) ++first_free_;
        ++bucket;
        continue;
      }
      const double part = std::min(free, amount);
      used += part;
      amount -= part;
      end = (static_cast<double>(bucket) + used / capacity_) * kClocks;
      ++bucket;
    }
    return std::max(end, time);
  }
  [[nodiscard]] double total() const { return total_; }

 private:
  // Reservations are made in buckets of time, which are used again once they lie far back.
  static constexpr double kClocks = 64, kNothing = 1e-9;
  static constexpr int64_t kBuckets = 1 << 12;

  double& used_of(int64_t bucket) {
    const auto at = static_cast<size_t>(bucket % kBuckets);
    if (owner_[at] != bucket) {
      owner_[at] = bucket;
      used_[at] = 0;
    }
    return used_[at];
  }

  double capacity_;
  std::vector<double> used_;
  std::vector<int64_t> owner_;
  int64_t first_free_ = 0;
  double total_ = 0;
};

}  // namespace emulator::clock
