// The least makespan of any schedule, by trying them all.
#pragma once

#include <span>

#include "plan/split.h"

namespace flash_mla::plan::test {

/// For a few items of a few quanta on a few parts: exponential. An item needs at most one unit in a part, since two can
/// be joined by moving keys within the item.
double best_makespan(std::span<const Item> items, int num_parts, const CostModel& model);

}  // namespace flash_mla::plan::test
