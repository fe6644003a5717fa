// Events between the cache and whoever follows it: a ring of fixed size.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flash_mla/kv_cache_types.h"

namespace flash_mla::kv_cache {

class EventRing {
 public:
  explicit EventRing(int64_t size) : events_(static_cast<size_t>(size)) {}

  /// False: there was no room, and the event is lost.
  bool push(const KvCacheEvent& event) {
    if (events_.empty()) return true;  // nobody listens
    if (count_ == events_.size()) return false;
    events_[(first_ + count_++) % events_.size()] = event;
    return true;
  }

  int64_t take(std::span<KvCacheEvent> into) {
    size_t taken = 0;
    for (; taken < into.size() && count_ > 0; --count_) {
      into[taken++] = events_[first_];
      first_ = (first_ + 1) % events_.size();
    }
    return static_cast<int64_t>(taken);
  }

 private:
  std::vector<KvCacheEvent> events_;
  size_t first_ = 0;
  size_t count_ = 0;
};

}  // namespace flash_mla::kv_cache
