// What is to be split over workers, what that costs, and what it is split into.
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

/// Keys [begin, end) of an item: the piece that one worker computes in one go.
struct Unit {
  int32_t item = 0;
  int32_t split = 0;  ///< 0 .. splits of its item - 1, in key order
  int64_t begin = 0;
  int64_t end = 0;
};

}  // namespace flash_mla::plan
