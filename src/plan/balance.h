// The search behind both plans.
#pragma once

#include "plan/split.h"

namespace flash_mla::plan {

/// Fills memory.best with placements that cover all items. Reads memory.cost: of each item unsplit.
void balance(std::span<const Item> items, int num_parts, const CostModel& model, PlannerMemory& memory);

}  // namespace flash_mla::plan
