// What is to be split over workers, and what that costs.
#pragma once

#include <cstdint>

namespace flash_mla::plan {

/// Query rows that share their keys: one sequence, one KV head, one block of rows. Its keys are numbered 0 to tokens -
/// 1 (the visible ones only, so windows and sinks leave no holes).
struct Item {
  int64_t tokens = 0;
  double token_cost = 0;  ///< of one key, in the cost model's unit
};

/// Cost of a unit = unit_cost + tokens * token_cost, plus split_cost if its item has more than one unit (the partial
/// result is written, read again and merged). One unit of cost is one nanosecond of one worker where constants are
/// measured.
struct CostModel {
  double unit_cost = 0;
  double split_cost = 0;
  int64_t quantum = 16;  ///< a split unit holds a multiple of this many keys, but for an item's last
};

}  // namespace flash_mla::plan
