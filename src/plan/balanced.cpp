// plan_balanced: the best balance for this batch.
#include <algorithm>
#include <limits>

#include "plan/balance.h"
#include "plan/deal.h"
#include "plan/emit.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

void plan_balanced(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule) {
  if (most_units(items.size(), num_parts) > std::numeric_limits<int32_t>::max()) return refuse(num_parts, schedule);

  reserve(items.size(), num_parts, schedule);
  PlannerMemory& memory = schedule.memory;
  memory.cost.resize(items.size());
  double total = 0;
  double dearest = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    memory.cost[i] = whole_cost(items[i], model);
    total += memory.cost[i];
    dearest = std::max(dearest, memory.cost[i]);
  }
  if (dearest <= total / num_parts * kSmallUnit) {
    const auto whole = [](const Item& item) { return Cut{.tokens = item.tokens}; };
    return deal(items, num_parts, model, items.size(), total, whole, schedule);
  }
  balance(items, num_parts, model, memory);
  emit(items, num_parts, model, schedule);
}

}  // namespace flash_mla::plan
