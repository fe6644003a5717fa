#include "plan/emit.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "plan/unit_cost.h"

namespace flash_mla::plan {

void reserve(size_t num_items, int num_parts, Schedule& schedule) {
  make_room(schedule.units, most_units(num_items, num_parts));
  make_room(schedule.part_begin, static_cast<size_t>(num_parts) + 1);
  make_room(schedule.num_splits, num_items);
  schedule.memory.reserve(num_items, num_parts);
}

void group_by_part(int num_parts, Schedule& schedule) {
  const std::vector<Placement>& placements = schedule.memory.best;
  std::vector<int32_t>& begin = schedule.part_begin;
  begin.assign(static_cast<size_t>(num_parts) + 1, 0);
  for (const Placement& placement : placements) ++begin[placement.part];
  int32_t sum = 0;
  for (int32_t& count : begin) count = std::exchange(sum, sum + count);

  schedule.units.resize(placements.size());
  for (const Placement& placement : placements) {
    schedule.units[begin[placement.part]++] = {placement.item, 0, 0, placement.tokens};
  }
  std::move_backward(begin.begin(), begin.end() - 1, begin.end());
  begin[0] = 0;
}

void emit(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule) {
  group_by_part(num_parts, schedule);
  schedule.num_splits.assign(items.size(), 0);
  schedule.memory.keys_done.assign(items.size(), 0);
  for (Unit& unit : schedule.units) {
    const int64_t tokens = unit.end;
    int64_t& done = schedule.memory.keys_done[unit.item];
    unit.split = schedule.num_splits[unit.item]++;
    unit.begin = done;
    unit.end = done += tokens;
  }
  schedule.makespan = measure_makespan(items, model, schedule);
}

double measure_makespan(std::span<const Item> items, const CostModel& model, const Schedule& schedule) {
  double dearest = 0;
  for (size_t part = 0; part + 1 < schedule.part_begin.size(); ++part) {
    double load = 0;
    for (int32_t i = schedule.part_begin[part]; i < schedule.part_begin[part + 1]; ++i) {
      const Unit& unit = schedule.units[i];
      const Item& item = items[unit.item];
      load += schedule.num_splits[unit.item] == 1 ? whole_cost(item, model)
                                                  : piece_cost(unit.end - unit.begin, item.token_cost, model);
    }
    dearest = std::max(dearest, load);
  }
  return dearest;
}

void refuse(int num_parts, Schedule& schedule) {
  schedule.units.clear();
  schedule.part_begin.assign(static_cast<size_t>(num_parts) + 1, 0);
  schedule.num_splits.clear();
  schedule.makespan = std::numeric_limits<double>::infinity();
}

}  // namespace flash_mla::plan
