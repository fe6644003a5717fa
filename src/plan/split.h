// Split-KV planning as pure functions: which worker attends to which keys. No threads, no kernels, no pointers to data.
// How it is done, and how well: docs/planner.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plan/item.h"
#include "plan/planner_memory.h"

namespace flash_mla::plan {

struct Schedule {
  std::vector<Unit> units;          ///< grouped by part
  std::vector<int32_t> part_begin;  ///< [num_parts + 1] part p owns units [part_begin[p], part_begin[p + 1])
  std::vector<int32_t> num_splits;  ///< [items] units of each; 0-token items get one empty unit (they still write out)
  double makespan = 0;              ///< cost of the dearest part
  PlannerMemory memory;             ///< the planner's own, kept so that the next plan allocates nothing
};

// All three take num_parts 1 to 1024, quantum >= 1, tokens >= 0, costs finite and >= 0; the callers check. Token counts
// may add up to 2^53. The result depends on the arguments alone, not on what the schedule held before.

/// Balances items over num_parts; splits where that lowers the makespan. Reuses the schedule's memory. An item has at
/// most one unit in a part, and its units come in key order. O(n log num_parts) for n items. More than 2^31 - 1 - 4 *
/// num_parts items are refused: units and num_splits are empty, makespan is infinite.
void plan_balanced(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule);

/// Splits each item by its own tokens alone, never by the rest of the batch or the number of parts (at most 1024 units,
/// with keys worth 8 overheads on average), then balances the units over num_parts: an item's units may come in any
/// order. O(units log num_parts). More than 2^31 - 1 units are refused as above.
void plan_invariant(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule);

/// No schedule can be shorter: max(total unsplit cost / num_parts, the best any one item can do with all parts alone),
/// raised by what those two overlook: forced splits, whole quanta, units that do not fit side by side. For tests and
/// reports, as it takes milliseconds.
double ideal_makespan(std::span<const Item> items, int num_parts, const CostModel& model);

}  // namespace flash_mla::plan
