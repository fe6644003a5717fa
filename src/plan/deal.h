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

/// Where the next part begins and what it may cost.
class Deal {
 public:
  Deal(int num_parts, double total, Schedule& schedule)
      : num_parts_(num_parts), left_(total), fair_(total / num_parts), schedule_(schedule) {
    schedule.part_begin.assign(1, 0);
    schedule.makespan = 0;
  }

  /// Whether a part that costs `load` is fuller than it should be with half of a unit of `cost` more.
  bool is_full(double load, double cost) const { return load + cost / 2 > fair_; }
  bool is_last_part() const { return num_closed() + 1 >= num_parts_; }
  void close_part(double load, size_t end) {
    schedule_.part_begin.push_back(static_cast<int32_t>(end));
    schedule_.makespan = std::max(schedule_.makespan, load);
    left_ -= load;
    fair_ = left_ / std::max(1, num_parts_ - num_closed());
  }
  void close_all(double load, size_t end) {
    for (; num_closed() < num_parts_; load = 0) close_part(load, end);
  }

 private:
  int num_closed() const { return static_cast<int>(schedule_.part_begin.size()) - 1; }

  int num_parts_;
  double left_;
  double fair_;
  Schedule& schedule_;
};

/// Fills the schedule. `cut` gives an item's Cut, `num_units` and `total` are the number of all units and their cost.
template <class CutOf>
void deal(std::span<const Item> items, int num_parts, const CostModel& model, size_t num_units, double total,
          const CutOf& cut_of, Schedule& schedule) {
  Deal parts(num_parts, total, schedule);
  schedule.units.resize(num_units);
  schedule.num_splits.resize(items.size());
  Unit* unit = schedule.units.data();
  double load = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const Cut cut = cut_of(items[i]);
    const double overhead = unit_overhead(cut, model);
    const double token_cost = items[i].token_cost;
    schedule.num_splits[i] = cut.num_units;
    int64_t begin = 0;
    for (int32_t split = 0; split < cut.num_units; ++split) {
      const int64_t end = cut.border(split + 1);
      const double cost = overhead + static_cast<double>(end - begin) * token_cost;
      if (parts.is_full(load, cost) && !parts.is_last_part()) {
        parts.close_part(load, static_cast<size_t>(unit - schedule.units.data()));
        load = 0;
      }
      *unit++ = {static_cast<int32_t>(i), split, begin, end};
      load += cost;
      begin = end;
    }
  }
  parts.close_all(load, num_units);
}

}  // namespace flash_mla::plan
