// Many small units: parts of equal cost, cut from the items in their order.
#pragma once

#include <algorithm>

#include "plan/split.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

/// Units at most this share of a part's fair load are dealt: then no part is off its load by more than half of one.
inline constexpr double kSmallUnit = 1.0 / 64;

/// How an item is cut: into units of `least` keys, but the first num_longer of a quantum more and the last of what is
/// left.
struct Cut {
  int32_t num_units = 1;
  int64_t tokens = 0;
  int64_t least = 0;
  int64_t num_longer = 0;
  int64_t quantum = 0;

  /// Where a unit begins; of num_units, where the last ends.
  int64_t border(int32_t split) const {
    return split == num_units ? tokens : split * least + std::min<int64_t>(split, num_longer) * quantum;
  }
  /// Keys of the longest unit.
  int64_t most() const { return border(1); }
};

inline double unit_overhead(const Cut& cut, const CostModel& model) {
  return cut.num_units == 1 ? model.unit_cost : piece_overhead(model);
}

/// Fills the schedule. `cut` gives an item's Cut, `total` is the cost of all units.
template <class CutOf>
void deal(std::span<const Item> items, int num_parts, const CostModel& model, double total, const CutOf& cut_of,
          Schedule& schedule) {
  schedule.units.clear();
  schedule.num_splits.clear();
  schedule.part_begin.assign(1, 0);
  schedule.makespan = 0;
  double load = 0;
  double left = total;
  double fair = total / num_parts;
  const auto close_part = [&] {
    schedule.part_begin.push_back(static_cast<int32_t>(schedule.units.size()));
    schedule.makespan = std::max(schedule.makespan, load);
    left -= load;
    load = 0;
    fair = left / std::max(1, num_parts + 1 - static_cast<int>(schedule.part_begin.size()));
  };
  for (size_t i = 0; i < items.size(); ++i) {
    const Cut cut = cut_of(items[i]);
    const double overhead = unit_overhead(cut, model);
    schedule.num_splits.push_back(cut.num_units);
    for (int32_t split = 0; split < cut.num_units; ++split) {
      const int64_t begin = cut.border(split);
      const int64_t end = cut.border(split + 1);
      const double cost = overhead + static_cast<double>(end - begin) * items[i].token_cost;
      if (load + cost / 2 > fair && static_cast<int>(schedule.part_begin.size()) < num_parts) close_part();
      schedule.units.push_back({static_cast<int32_t>(i), split, begin, end});
      load += cost;
    }
  }
  while (static_cast<int>(schedule.part_begin.size()) <= num_parts) close_part();
}

}  // namespace flash_mla::plan
