// From placements to a schedule.
#pragma once

#include "plan/split.h"

namespace flash_mla::plan {

/// Makes room for all that batches of these sizes need.
void reserve(size_t num_items, int num_parts, Schedule& schedule);

/// Groups schedule.memory.best by part: fills part_begin and, but for their keys and splits, the units, whose `end`
/// holds the placement's tokens.
void group_by_part(int num_parts, Schedule& schedule);

/// Groups by part, numbers every item's keys in that order, and measures the makespan.
void emit(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule);

/// The cost of the dearest part of a complete schedule.
double measure_makespan(std::span<const Item> items, const CostModel& model, const Schedule& schedule);

/// Makes it the schedule that no caller mistakes for a plan: no units, no splits, makespan infinite.
void refuse(int num_parts, Schedule& schedule);

}  // namespace flash_mla::plan
