// Planning as a device does it: one walk over the items in their order, cut where a part is full (the wrap-around rule
// of McNaughton, 1959). Whole numbers and no library, so that host and device come to the same plan.
#pragma once

#include <cstdint>

namespace flash_mla::plan {

/// As CostModel, in whole nanoseconds; keys come in quanta, an item's last one counts whole.
struct WrapModel {
  int64_t unit_cost = 1;
  int64_t split_cost = 0;
  int64_t quantum_cost = 1;

  constexpr int64_t whole(int64_t quanta) const { return unit_cost + quanta * quantum_cost; }
  constexpr int64_t piece_overhead() const { return unit_cost + split_cost; }
};

/// Quanta [begin, begin + count) of an item, for one part.
struct WrapUnit {
  int32_t item;
  int32_t split;  ///< 0, 1, ... in key order
  int32_t begin;
  int32_t count;
};

/// Places all items so that no part costs more than `target`; false if there are too few parts. Parts are filled one
/// after another. `quanta_of(item)` gives an item's quanta, `visit(part, unit, is_last)` is called for every unit in
/// order; is_last: of its item.
template <class QuantaOf, class Visit>
constexpr bool wrap(int32_t num_items, int32_t num_parts, const WrapModel& model, int64_t target, QuantaOf quanta_of,
                    Visit visit) {
  const int64_t overhead = model.piece_overhead();
  int32_t part = 0;
  int64_t load = 0;
  for (int32_t item = 0; item < num_items; ++item) {
    const int32_t quanta = quanta_of(item);
    if (load + model.whole(quanta) <= target) {
      load += model.whole(quanta);
      visit(part, WrapUnit{item, 0, 0, quanta}, true);
      continue;
    }
    int32_t done = 0;
    for (int32_t split = 0;;) {
      const int64_t left = quanta - done;
      if (load == 0 && split == 0 && model.whole(left) <= target) {  // whole after all, in a part of its own
        load = model.whole(left);
        visit(part, WrapUnit{item, 0, 0, quanta}, true);
        break;
      }
      const int64_t room = (target - load - overhead) / model.quantum_cost;
      if (split > 0 && room >= left) {
        load += overhead + left * model.quantum_cost;
        visit(part, WrapUnit{item, split, done, static_cast<int32_t>(left)}, true);
        break;
      }
      const auto taken = static_cast<int32_t>(room < left ? room : left - 1);
      if (room >= 1 && taken >= 1) {
        visit(part, WrapUnit{item, split++, done, taken}, false);
        done += taken;
      } else if (load == 0) {
        return false;  // nothing fits an empty part
      }
      if (++part == num_parts) return false;
      load = 0;
    }
  }
  return true;
}

/// Between these, some target is the least that works; the larger one always works. `total`: of all items whole.
struct WrapRange {
  int64_t low, high;
  /// The index-th of `count` targets, from low to high.
  constexpr int64_t target(int32_t index, int32_t count) const {
    return low + (high - low) * (index + 1) / count;
  }
};

constexpr WrapRange wrap_range(int64_t total, int32_t num_parts, const WrapModel& model) {
  const int64_t mean = (total + num_parts - 1) / num_parts;
  // A part is closed with less than an overhead and a quantum to spare, and cuts at most one item, which costs a unit
  // and two splits more than whole.
  return {mean - 1, mean + 2 * model.unit_cost + 3 * model.split_cost + model.quantum_cost};
}

}  // namespace flash_mla::plan
