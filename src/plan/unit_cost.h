// The cost model, applied.
#pragma once

#include <algorithm>
#include <cstdint>

#include "plan/split.h"

namespace flash_mla::plan {

/// Of an item in one piece.
inline double whole_cost(const Item& item, const CostModel& model) {
  return model.unit_cost + static_cast<double>(item.tokens) * item.token_cost;
}

/// Of each unit of a split item, whatever keys it holds.
inline double piece_overhead(const CostModel& model) {
  return model.unit_cost + model.split_cost;
}

inline double piece_cost(int64_t tokens, double token_cost, const CostModel& model) {
  return piece_overhead(model) + static_cast<double>(tokens) * token_cost;
}

/// Keys whose cost alone is at most `room`, at most `limit`.
inline int64_t keys_within(double room, double token_cost, int64_t limit) {
  if (!(room >= token_cost)) return 0;
  if (room >= static_cast<double>(limit) * token_cost) return limit;
  return std::min(limit, static_cast<int64_t>(room / token_cost));
}

inline int64_t round_down(int64_t tokens, int64_t quantum) {
  return tokens / quantum * quantum;
}

/// Keys of an item beyond its last whole quantum, but for a multiple a whole quantum: the least its last unit can hold.
inline int64_t least_tail(int64_t tokens, int64_t quantum) {
  return tokens - round_down(tokens - 1, quantum);
}

}  // namespace flash_mla::plan
