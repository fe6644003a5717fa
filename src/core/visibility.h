// Which keys a query row sees: the mask of the contract as pure functions, for host and device.
#pragma once

#include <algorithm>
#include <cstdint>

#include "flash_mla/plan.h"

namespace flash_mla::core {

/// Keys [0, sink_end) and [window_begin, end), with sink_end <= window_begin <= end.
struct KeyRange {
  int64_t sink_end = 0;
  int64_t window_begin = 0;
  int64_t end = 0;

  [[nodiscard]] constexpr int64_t size() const { return sink_end + (end - window_begin); }
  /// The index-th visible key, index in [0, size()).
  [[nodiscard]] constexpr int64_t key(int64_t index) const {
    return index < sink_end ? index : index - sink_end + window_begin;
  }
  [[nodiscard]] constexpr bool contains(int64_t key) const {
    return key < sink_end || (key >= window_begin && key < end);
  }
};

/// Keys that query tokens first to last (inclusive, of s_q) of a sequence with s_k keys see, taken together.
constexpr KeyRange visible_keys(const Mask& mask, int64_t s_k, int64_t s_q, int64_t first, int64_t last) {
  const int64_t first_end = mask.causal ? std::max<int64_t>(0, s_k - (s_q - 1 - first)) : s_k;
  const int64_t last_end = mask.causal ? std::max<int64_t>(0, s_k - (s_q - 1 - last)) : s_k;
  if (mask.window == 0) return {0, 0, last_end};
  const int64_t window_begin = std::max<int64_t>(0, first_end - mask.window);
  const int64_t sink_end = std::min(mask.sinks, std::min(window_begin, last_end));
  return {sink_end, window_begin, last_end};
}

}  // namespace flash_mla::core
