// What makes a schedule right.
#pragma once

#include <span>
#include <string>

#include "plan/split.h"

namespace flash_mla::plan::test {

/// What plan_balanced promises besides: an item's units come in key order, one in a part at most.
enum class Order { by_key, any };

/// What is wrong with a schedule, or nothing: parts that are not consecutive, tokens that are missing, doubled or out
/// of order, empty units, units off the quantum, wrong counts, a wrong makespan.
std::string complaint(std::span<const Item> items, int num_parts, const CostModel& model, const Schedule& schedule,
                      Order order = Order::by_key);

}  // namespace flash_mla::plan::test
