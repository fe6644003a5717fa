// From placements to a schedule.
#pragma once

#include "plan/split.h"

namespace flash_mla::plan {

/// Groups schedule.memory.best by part, numbers every item's keys in that order, and measures the makespan.
void emit(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule);

/// The cost of the dearest part of a complete schedule.
double measure_makespan(std::span<const Item> items, const CostModel& model, const Schedule& schedule);

/// Makes it the schedule that no caller mistakes for a plan: no units, makespan infinite.
void refuse(size_t num_items, int num_parts, Schedule& schedule);

}  // namespace flash_mla::plan
