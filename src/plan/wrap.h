// Planning as a device does it: for a target, parts are filled one after another, and what is left over is cut to fill
// their gaps (the wrap-around rule of McNaughton, 1959). Many targets are tried at once. Whole numbers and no
// library, so that host and device come to the same plan.
#pragma once

#include <cstdint>

namespace flash_mla::plan {

/// As CostModel, in whole nanoseconds; keys come in quanta, an item's last one counts whole.
struct WrapModel {
  int64_t unit_cost = 1;
  int64_t split_cost = 0;
  int64_t quantum_cost = 1;

  constexpr int64_t whole(int64_t quanta) const { return unit_cost + quanta * quantum_cost; }
  constexpr int64_t piece(int64_t quanta) const { return whole(quanta) + split_cost; }
  /// The quanta of a piece of at most that cost; negative: not even an empty one.
  constexpr int64_t quanta_within(int64_t cost) const {
    return cost < piece(0) ? -1 : (cost - piece(0)) / quantum_cost;
  }
};

/// Quanta [begin, begin + count) of an item.
struct WrapUnit {
  int32_t item = 0;
  int32_t split = 0;  ///< 0, 1, ... in key order
  int32_t begin = 0;
  int32_t count = 0;
  bool is_last = true;  ///< of its item
};

/// One try: places items so that no part costs more than a target. `quanta_of(item)` gives an item's quanta; items are
/// best numbered dearest first. `load_of(part)` is a place for the part's cost. `visit(part, unit)` gets every unit.
template <class QuantaOf, class LoadOf, class Visit>
class Wrap {
 public:
  constexpr Wrap(int32_t num_items, int32_t num_parts, const WrapModel& model, int64_t target, QuantaOf quanta_of,
                 LoadOf load_of, Visit visit)
      : num_parts_(num_parts),
        model_(model),
        target_(target),
        quanta_of_(quanta_of),
        load_of_(load_of),
        visit_(visit),
        last_(num_items - 1) {}

  /// False: there are too few parts for this target.
  constexpr bool run() {
    for (int32_t part = 0; part < num_parts_; ++part) {
      load_of_(part) = 0;
      if (!has_items()) continue;
      if (!fill(part)) return false;
    }
    for (int32_t part = 0; part < num_parts_ && has_items(); ++part) fill_gap(part);
    return !has_items();
  }

 private:
  constexpr bool has_items() const { return first_ <= last_; }
  constexpr int64_t left() const { return quanta_of_(first_) - done_; }

  constexpr bool fits(int32_t part, int64_t cost) const { return load_of_(part) + cost <= target_; }

  /// The first item, or what is left of it.
  constexpr bool place_first(int32_t part) {
    const int64_t cost = split_ == 0 ? model_.whole(left()) : model_.piece(left());
    if (!fits(part, cost)) return false;
    load_of_(part) += cost;
    visit_(part, WrapUnit{first_, split_, done_, static_cast<int32_t>(left()), true});
    ++first_;
    split_ = done_ = 0;
    return true;
  }
  /// The cheapest item, where that is another than the first.
  constexpr bool place_last(int32_t part) {
    if (first_ == last_) return false;
    const int32_t quanta = quanta_of_(last_);
    if (!fits(part, model_.whole(quanta))) return false;
    load_of_(part) += model_.whole(quanta);
    visit_(part, WrapUnit{last_, 0, 0, quanta, true});
    --last_;
    return true;
  }
  /// As much of the first item as there is room for.
  constexpr bool cut_first(int32_t part) {
    const int64_t room = model_.quanta_within(target_ - load_of_(part));
    const int64_t taken = room < left() ? room : left() - 1;
    if (taken < 1) return false;
    load_of_(part) += model_.piece(taken);
    visit_(part, WrapUnit{first_, split_, done_, static_cast<int32_t>(taken), false});
    ++split_;
    done_ += static_cast<int32_t>(taken);
    return true;
  }

  /// Whole items, dearest first, then the cheapest; an item that is dearer than a part fills some of its own.
  constexpr bool fill(int32_t part) {
    while (has_items() && place_first(part)) continue;
    if (!has_items()) return true;
    if (load_of_(part) == 0) return cut_first(part);
    while (split_ == 0 && place_last(part)) continue;
    return true;
  }

  constexpr void fill_gap(int32_t part) {
    while (has_items() && place_first(part)) continue;
    if (has_items()) cut_first(part);
  }

  int32_t num_parts_;
  WrapModel model_;
  int64_t target_;
  QuantaOf quanta_of_;
  LoadOf load_of_;
  Visit visit_;
  int32_t first_ = 0, last_;      // what has no place yet
  int32_t split_ = 0, done_ = 0;  // of the first of them
};

template <class QuantaOf, class LoadOf, class Visit>
constexpr bool wrap(int32_t num_items, int32_t num_parts, const WrapModel& model, int64_t target, QuantaOf quanta_of,
                    LoadOf load_of, Visit visit) {
  return Wrap(num_items, num_parts, model, target, quanta_of, load_of, visit).run();
}

/// How many targets are tried.
inline constexpr int32_t kWrapTargets = 256;

/// The index-th of them, cheapest first; the last always works. `total` is the cost of all items whole. A part is left
/// with room for less than a piece of one quantum, and cuts one item at most, which costs a unit and two splits more
/// than whole.
constexpr int64_t wrap_target(int64_t total, int32_t num_parts, const WrapModel& model, int32_t index) {
  const int64_t mean = (total + num_parts - 1) / num_parts;
  const int64_t spread = model.piece(1) + model.unit_cost + 2 * model.split_cost;
  return mean + spread * index / (kWrapTargets - 1);
}

/// Units there are at most, and rows of partial results in units of a piece.
constexpr int64_t most_wrap_units(int64_t num_items, int64_t num_parts) {
  return num_items + num_parts;
}
constexpr int64_t most_wrap_pieces(int64_t num_parts) {
  return 2 * num_parts;
}

}  // namespace flash_mla::plan
