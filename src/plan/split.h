// Split-KV planning as pure functions: which worker attends to which keys. No threads, no kernels, no pointers to data.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace flash_mla::plan {

/// Query rows that share their keys: one sequence, one KV head, one block of rows. Its keys are numbered 0 to tokens - 1
/// (the visible ones only, so windows and sinks leave no holes).
struct Item {
  int64_t tokens = 0;
  double token_cost = 0;  ///< of one key, in the cost model's unit
};

/// Cost of a unit = unit_cost + tokens * token_cost, plus split_cost if its item has more than one unit (the partial
/// result is written, read again and merged). One unit of cost is one nanosecond of one worker where constants are measured.
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

struct Schedule {
  std::vector<Unit> units;           ///< grouped by part; within an item in key order
  std::vector<int32_t> part_begin;   ///< [num_parts + 1] part p owns units [part_begin[p], part_begin[p + 1])
  std::vector<int32_t> num_splits;   ///< [items] units of each item; 0-token items get one empty unit (they still write out)
  double makespan = 0;               ///< cost of the dearest part
};

/// Balances items over num_parts; splits where that lowers the makespan. Reuses the schedule's memory.
void plan_balanced(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule);

/// Splits each item by its own tokens alone (never by the rest of the batch), then balances the units over num_parts.
void plan_invariant(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule);

/// No schedule can be shorter: max(total unsplit cost / num_parts, the best any one item can do with all parts alone).
double ideal_makespan(std::span<const Item> items, int num_parts, const CostModel& model);

}  // namespace flash_mla::plan
