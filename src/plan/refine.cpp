#include "plan/refine.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "plan/unit_cost.h"

namespace flash_mla::plan {

namespace {

constexpr int32_t kNone = -1;

/// What is to be done with a unit.
struct Move {
  int32_t unit = kNone;
  int32_t to = kNone;
  int32_t swapped = kNone;  ///< the unit of `to` that comes back, if any
  int64_t tokens = 0;       ///< fewer than the unit's: it stays and the others move
  double from_load = 0;
  double to_load = 0;
  double dearer = 0;  ///< of the two loads
};

/// The item of a unit as seen from that unit.
struct Split {
  int num_units = 0;
  int last_part = kNone;        ///< holds the last keys
  int last_other_part = kNone;  ///< the highest but the unit's own
};

class Refinement {
 public:
  Refinement(const PackingProblem& problem, int64_t budget)
      : problem_(problem), memory_(problem.memory), units_(memory_.best), load_(memory_.load), budget_(budget) {
    memory_.part_head.assign(problem.num_parts, kNone);
    memory_.item_head.assign(problem.items.size(), kNone);
    memory_.unit_in_part.assign(problem.num_parts, kNone);
    memory_.next_in_part.resize(units_.size());
    memory_.next_of_item.resize(units_.size());
    for (size_t unit = 0; unit < units_.size(); ++unit) {
      link_to_part(static_cast<int32_t>(unit));
      link_to_item(static_cast<int32_t>(unit));
    }
  }

  double run(double good_enough) {
    while (true) {
      from_ = dearest_part();
      if (load_[from_] <= good_enough || budget_ <= 0) break;
      best_ = {};
      best_.dearer = load_[from_] * (1 - 1e-6);
      half_way_ = (load_[from_] + good_enough) / 2;
      for (const auto consider : {&Refinement::consider_moves, &Refinement::consider_swaps}) {
        double last_cost = -1;
        for (int32_t unit = memory_.part_head[from_]; unit != kNone && budget_ > 0 && best_.dearer > half_way_;
             unit = memory_.next_in_part[unit]) {
          const Split split = split_of(unit);
          const double cost = cost_of(unit, split);
          if (split.num_units > 1 || cost != last_cost) (this->*consider)(unit, split, cost);
          last_cost = split.num_units > 1 ? -1 : cost;
        }
        if (best_.unit != kNone) break;
      }
      if (best_.unit != kNone) {
        apply();
      } else if (!deal_anew()) {
        break;
      }
    }
    std::erase_if(units_, [](const Placement& unit) { return unit.part == kNone; });
    return load_[from_];
  }

 private:
  const Item& item_of(int32_t unit) const { return problem_.items[units_[unit].item]; }

  Split split_of(int32_t unit) const {
    Split split;
    for (int32_t other = memory_.item_head[units_[unit].item]; other != kNone; other = memory_.next_of_item[other]) {
      ++split.num_units;
      split.last_part = std::max(split.last_part, units_[other].part);
      if (other != unit) split.last_other_part = std::max(split.last_other_part, units_[other].part);
    }
    return split;
  }

  int dearest_part() const {
    int dearest = 0;
    for (int part = 1; part < problem_.num_parts; ++part) {
      if (load_[part] >= load_[dearest]) dearest = part;
    }
    return dearest;
  }

  double cost_of(int32_t unit, const Split& split) const {
    return split.num_units == 1 ? memory_.cost[units_[unit].item]
                                : piece_cost(units_[unit].tokens, item_of(unit).token_cost, problem_.model);
  }

  /// Whether the item's last keys stay in its highest part if the whole unit goes to `part`.
  static bool keeps_order(const Split& split, int own_part, int part) {
    if (split.num_units == 1) return true;
    return own_part == split.last_part ? part >= split.last_other_part : part <= split.last_part;
  }

  void propose(const Move& move) {
    if (move.dearer < best_.dearer) best_ = move;
  }
  void propose(int32_t unit, int to, int64_t tokens, double from_load, double to_load) {
    propose({unit, to, kNone, tokens, from_load, to_load, std::max(from_load, to_load)});
  }

  void consider_moves(int32_t unit, const Split& split, double cost) {
    const int32_t first = memory_.item_head[units_[unit].item];
    for (int32_t other = first; other != kNone; other = memory_.next_of_item[other])
      memory_.unit_in_part[units_[other].part] = other;
    for (int to = 0; to < problem_.num_parts; ++to) {
      if (load_[to] >= best_.dearer) continue;
      consider_moving_all(unit, split, cost, to);
      consider_moving_some(unit, split, to);
    }
    budget_ -= problem_.num_parts;
    for (int32_t other = first; other != kNone; other = memory_.next_of_item[other])
      memory_.unit_in_part[units_[other].part] = kNone;
  }

  void consider_moving_all(int32_t unit, const Split& split, double cost, int to) {
    if (!keeps_order(split, from_, to)) return;
    double added = cost;
    if (memory_.unit_in_part[to] != kNone) {
      added -= piece_overhead(problem_.model);
      if (split.num_units == 2) added -= problem_.model.split_cost;
    }
    propose(unit, to, units_[unit].tokens, load_[from_] - cost, load_[to] + added);
  }

  void consider_moving_some(int32_t unit, const Split& split, int to) {
    const int64_t quantum = problem_.model.quantum;
    const int64_t tail = least_tail(item_of(unit).tokens, quantum);
    const bool is_new = memory_.unit_in_part[to] == kNone;
    if (is_new && units_.size() >= most_units(problem_.items.size(), problem_.num_parts)) return;
    const bool takes_tail = to > split.last_part;
    if (takes_tail && from_ != split.last_part) return;
    const int64_t least = takes_tail ? tail : quantum;
    const int64_t most = units_[unit].tokens - (from_ == split.last_part && !takes_tail ? tail : quantum);
    if (most < least) return;

    const double token_cost = item_of(unit).token_cost;
    const double from_load = load_[from_] + (split.num_units == 1 ? problem_.model.split_cost : 0);
    const double to_load = load_[to] + (is_new ? piece_overhead(problem_.model) : 0);
    if (to_load >= best_.dearer) return;
    const int64_t even = keys_within((from_load - to_load) / 2, token_cost, most);
    const int64_t below = even <= least ? least : least + round_down(even - least, quantum);
    for (const int64_t tokens : {below, below + quantum}) {
      if (tokens > most) break;
      const double moved = static_cast<double>(tokens) * token_cost;
      propose(unit, to, tokens, from_load - moved, to_load + moved);
    }
  }

  void consider_swaps(int32_t unit, const Split& split, double cost) {
    for (int to = 0; to < problem_.num_parts && best_.dearer > half_way_; ++to) {
      --budget_;
      if (load_[to] >= best_.dearer || !keeps_order(split, from_, to)) continue;
      for (int32_t back = memory_.part_head[to]; back != kNone; back = memory_.next_in_part[back]) {
        const Split back_split = split_of(back);
        const double back_cost = cost_of(back, back_split);
        Move move = {unit, to, back, units_[unit].tokens, load_[from_] - cost + back_cost, load_[to] + cost - back_cost,
                     0};
        move.dearer = std::max(move.from_load, move.to_load);
        if (move.dearer >= best_.dearer) continue;
        if (!keeps_order(back_split, to, from_) || holds_item(to, units_[unit].item) ||
            holds_item(from_, units_[back].item))
          continue;
        propose(move);
      }
    }
  }

  /// Deals the whole units of the dearest part and a cheaper one anew, trying all ways. False if that helps with no
  /// part.
  bool deal_anew() {
    std::vector<int32_t>& cheapest = memory_.part_order;
    cheapest.resize(problem_.num_parts);
    std::iota(cheapest.begin(), cheapest.end(), 0);
    std::sort(cheapest.begin(), cheapest.end(),
              [this](int32_t a, int32_t b) { return load_[a] != load_[b] ? load_[a] < load_[b] : a < b; });
    for (const int32_t to : cheapest) {
      if (budget_ <= 0 || load_[to] >= best_.dearer) break;
      if (deal_anew(to)) return true;
    }
    return false;
  }

  bool deal_anew(int to) {
    constexpr size_t kMost = 12;
    std::vector<int32_t>& hand = memory_.hand;
    hand.clear();
    double to_load = load_[to];
    for (const int part : {from_, to}) {
      for (int32_t unit = memory_.part_head[part]; unit != kNone; unit = memory_.next_in_part[unit])
        if (split_of(unit).num_units == 1) hand.push_back(unit);
    }
    const auto cost = [this](int32_t unit) { return memory_.cost[units_[unit].item]; };
    std::sort(hand.begin(), hand.end(),
              [&](int32_t a, int32_t b) { return cost(a) != cost(b) ? cost(a) < cost(b) : a < b; });
    hand.resize(std::min(hand.size(), kMost));

    // All sets of units for `to`, each differing from the one before in one unit (a Gray code).
    for (const int32_t unit : hand) {
      if (units_[unit].part == to) to_load -= cost(unit);
    }
    const double both = load_[from_] + load_[to];
    uint32_t best_set = 0;
    double best_load = to_load;
    double best_dearer = best_.dearer;
    uint32_t set = 0;
    for (uint32_t step = 0; step < uint32_t{1} << hand.size(); ++step) {
      if (step > 0) {
        const int turned = std::countr_zero(step);
        set ^= uint32_t{1} << turned;
        to_load += (set >> turned & 1) != 0 ? cost(hand[turned]) : -cost(hand[turned]);
      }
      const double dearer = std::max(to_load, both - to_load);
      if (dearer < best_dearer) {
        best_dearer = dearer;
        best_set = set;
        best_load = to_load;
      }
    }
    budget_ -= int64_t{1} << hand.size();
    if (best_dearer >= best_.dearer) return false;
    for (size_t i = 0; i < hand.size(); ++i) relocate(hand[i], (best_set >> i & 1) != 0 ? to : from_);
    load_[to] = best_load;
    load_[from_] = both - best_load;
    return true;
  }

  bool holds_item(int part, int32_t item) const {
    for (int32_t unit = memory_.item_head[item]; unit != kNone; unit = memory_.next_of_item[unit])
      if (units_[unit].part == part) return true;
    return false;
  }

  void apply() {
    Placement& unit = units_[best_.unit];
    load_[from_] = best_.from_load;
    load_[best_.to] = best_.to_load;
    if (best_.swapped != kNone) {
      relocate(best_.swapped, from_);
      relocate(best_.unit, best_.to);
      return;
    }
    int32_t other = memory_.item_head[unit.item];
    while (other != kNone && units_[other].part != best_.to) other = memory_.next_of_item[other];
    if (best_.tokens == unit.tokens) {
      if (other == kNone) {
        relocate(best_.unit, best_.to);
      } else {
        units_[other].tokens += unit.tokens;
        drop(best_.unit);
      }
    } else {
      unit.tokens -= best_.tokens;
      if (other != kNone) {
        units_[other].tokens += best_.tokens;
      } else {
        add({unit.item, best_.to, best_.tokens});
      }
    }
  }

  void link_to_part(int32_t unit) {
    memory_.next_in_part[unit] = std::exchange(memory_.part_head[units_[unit].part], unit);
  }
  void link_to_item(int32_t unit) {
    memory_.next_of_item[unit] = std::exchange(memory_.item_head[units_[unit].item], unit);
  }
  static void unlink(int32_t& head, std::vector<int32_t>& next, int32_t unit) {
    int32_t* link = &head;
    while (*link != unit) link = &next[*link];
    *link = next[unit];
  }

  void relocate(int32_t unit, int part) {
    unlink(memory_.part_head[units_[unit].part], memory_.next_in_part, unit);
    units_[unit].part = part;
    link_to_part(unit);
  }
  void drop(int32_t unit) {
    unlink(memory_.part_head[units_[unit].part], memory_.next_in_part, unit);
    unlink(memory_.item_head[units_[unit].item], memory_.next_of_item, unit);
    units_[unit].part = kNone;
  }
  void add(const Placement& placement) {
    const int32_t unit = static_cast<int32_t>(units_.size());
    units_.push_back(placement);
    memory_.next_in_part.push_back(kNone);
    memory_.next_of_item.push_back(kNone);
    link_to_part(unit);
    link_to_item(unit);
  }

  const PackingProblem& problem_;
  PlannerMemory& memory_;
  std::vector<Placement>& units_;
  std::vector<double>& load_;
  int64_t budget_;
  int from_ = 0;
  double half_way_ = 0;
  Move best_;
};

}  // namespace

double refine(const PackingProblem& problem, double good_enough, int64_t budget) {
  return Refinement(problem, budget).run(good_enough);
}

}  // namespace flash_mla::plan
