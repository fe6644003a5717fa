// A plain walk over the items, quota by quota, until the balanced planner lands.
#include <algorithm>

#include "plan/split.h"

namespace flash_mla::plan {

void plan_balanced(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule) {
  double total = 0;
  for (const Item& item : items) total += model.unit_cost + static_cast<double>(item.tokens) * item.token_cost;
  const double quota = total / num_parts;
  schedule.units.clear();
  schedule.num_splits.assign(items.size(), 0);
  schedule.part_begin.assign(1, 0);
  double used = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    int64_t begin = 0;
    do {
      const bool last_part = static_cast<int>(schedule.part_begin.size()) == num_parts;
      int64_t end = items[i].tokens;
      if (!last_part) {
        const int64_t room = static_cast<int64_t>((quota - used) / items[i].token_cost) / 64 * 64;
        end = std::min(end, begin + std::max<int64_t>(room, 0));
      }
      if (end > begin || items[i].tokens == 0) {
        schedule.units.push_back({static_cast<int32_t>(i), schedule.num_splits[i]++, begin, end});
        used += model.unit_cost + static_cast<double>(end - begin) * items[i].token_cost;
      }
      begin = end;
      if (begin < items[i].tokens) {
        schedule.part_begin.push_back(static_cast<int32_t>(schedule.units.size()));
        used = 0;
      }
    } while (begin < items[i].tokens);
  }
  schedule.part_begin.resize(static_cast<size_t>(num_parts) + 1, static_cast<int32_t>(schedule.units.size()));
}

void plan_invariant(std::span<const Item> items, int num_parts, const CostModel&, Schedule& schedule) {
  schedule.units.clear();
  schedule.num_splits.assign(items.size(), 1);
  schedule.part_begin.assign(1, 0);
  for (int p = 0; p < num_parts; ++p) {
    for (size_t i = p; i < items.size(); i += num_parts) schedule.units.push_back({static_cast<int32_t>(i), 0, 0, items[i].tokens});
    schedule.part_begin.push_back(static_cast<int32_t>(schedule.units.size()));
  }
}

}  // namespace flash_mla::plan
