// Items by cost.
#pragma once

#include "plan/planner_memory.h"

namespace flash_mla::plan {

/// Fills memory.order from memory.cost: dearest first, equals by index. Costs that agree in their 14 leading mantissa
/// bits count as equal where there are many.
void order_by_cost(PlannerMemory& memory);

}  // namespace flash_mla::plan
