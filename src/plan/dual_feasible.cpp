#include <algorithm>
#include <cmath>
#include <limits>

#include "plan/question.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// f(cost) such that costs that fit a part have values of at most 1 in total. Never falls.
class DualFeasible {
 public:
  /// Multiples of `grid`, seen from the nearer end (Carlier, Clautiaux and Moukrim, 2007).
  static DualFeasible rounding(double room, double grid) {
    DualFeasible f;
    f.room_ = room;
    f.grid_ = grid;
    f.steps_ = std::floor(room / grid);
    return f;
  }

  /// Where `count` units leave at most `gap`, which holds nothing, they count as filling the part.
  static DualFeasible filling(double room, int count, double gap) {
    DualFeasible f;
    f.room_ = room;
    f.gap_ = gap;
    f.share_ = 1.0 / count;
    f.slope_ = 1 / (room + (count - 1) * gap);
    f.large_ = (room - gap) / count;
    return f;
  }

  /// Mixed with cost / room.
  void set_volume(double volume) { volume_ = volume; }

  double operator()(double cost) const { return volume_ * cost / room_ + (1 - volume_) * pure(cost); }

 private:
  double pure(double cost) const {
    if (grid_ > 0) {
      return cost > room_ / 2 ? 1 - std::floor(std::max(0.0, room_ - cost) / grid_) / steps_
                              : std::floor(cost / grid_) / steps_;
    }
    if (cost <= gap_) return 0;
    const double value = slope_ * cost;
    return cost >= large_ ? std::max(share_, value) : value;
  }

  double room_ = 1;
  double volume_ = 0;
  double grid_ = 0;  ///< 0: filling
  double steps_ = 1;
  double gap_ = 0;
  double share_ = 1;
  double slope_ = 1;
  double large_ = 0;
};

/// The least value of an item that is split into units of whole quanta and a last one, as a problem of exact change.
/// Units of many quanta are counted in cells, each as full but as cheap as its first; items of very many at the best
/// price.
class Change {
 public:
  Change(const Question& question, double token_cost) : model_(question.model), token_cost_(token_cost) {
    room_ = question.target * (1 + kSpare);
    for (const Group& group : question.groups) {
      if (group.token_cost == token_cost && group.may_split) most_wanted_ = std::max(most_wanted_, group.quanta);
    }
    const int64_t most_keys =
        keys_within(room_ - piece_overhead(model_), token_cost, (most_wanted_ + 1) * model_.quantum);
    most_quanta_ = std::min(most_keys / model_.quantum, most_wanted_);
    cell_ = (most_quanta_ + kSizes - 1) / kSizes;
  }

  double token_cost() const { return token_cost_; }

  void prepare(const DualFeasible& f) {
    price_ = kNever;
    fill(f, 1, fine_);
    if (cell_ > 1) fill(f, cell_, coarse_);
  }

  /// A lower bound that costs no time.
  double at_least(const Group& group) const { return price_ * static_cast<double>(group.quanta); }

  double least(const DualFeasible& f, const Group& group) const {
    const bool fine = group.quanta < static_cast<int64_t>(fine_.size());
    const int64_t cell = fine ? 1 : cell_;
    const std::vector<double>& table = fine || cell_ == 1 ? fine_ : coarse_;
    const int64_t cells = (group.quanta + cell - 1) / cell;
    double least = kNever;
    for (int64_t last = group.tail > 0 ? 0 : 1; last <= cells; ++last) {
      const double cost = unit_cost(first_of(last, cell), group.tail);
      if (cost > room_) break;
      const int64_t rest = std::max<int64_t>(1, cells - last);
      const double value = rest < static_cast<int64_t>(table.size())
                               ? table[rest]
                               : price_ * static_cast<double>(std::max<int64_t>(0, group.quanta - last * cell));
      least = std::min(least, f(cost) + value);
    }
    return least;
  }

 private:
  static constexpr int64_t kSizes = 128;
  static constexpr int64_t kSteps = 16384;

  static int64_t first_of(int64_t cells, int64_t cell) { return cells == 0 ? 0 : (cells - 1) * cell + 1; }
  double unit_cost(int64_t quanta, int64_t tail) const {
    return piece_cost(quanta * model_.quantum + tail, token_cost_, model_);
  }

  void fill(const DualFeasible& f, int64_t cell, std::vector<double>& table) {
    const int64_t sizes = std::min(kSizes, (most_quanta_ + cell - 1) / cell);
    if (cell == cell_) price_ = kNever;
    value_.assign(1, 0);
    for (int64_t cells = 1; cells <= sizes; ++cells) {
      value_.push_back(f(unit_cost(first_of(cells, cell), 0)));
      price_ = std::min(price_, value_.back() / static_cast<double>(cells * cell));
    }
    const int64_t most = std::min((most_wanted_ + cell - 1) / cell, kSteps / sizes);
    table.assign(most + 1, kNever);
    table[0] = 0;
    for (int64_t wanted = 1; wanted <= most; ++wanted) {
      for (int64_t cells = 1; cells <= std::min(wanted, sizes); ++cells)
        table[wanted] = std::min(table[wanted], table[wanted - cells] + value_[cells]);
    }
  }

  CostModel model_;
  double token_cost_;
  double room_;
  int64_t most_quanta_;      ///< in a unit
  int64_t most_wanted_ = 0;  ///< in an item
  int64_t cell_;
  double price_ = 0;  ///< of a quantum, at least
  std::vector<double> value_;
  std::vector<double> fine_;
  std::vector<double> coarse_;
};

class DualFeasibleRelaxation {
 public:
  explicit DualFeasibleRelaxation(const Question& question)
      : question_(question), room_(question.target * (1 + kSpare)) {
    for (const Group& group : question.groups) {
      if (!group.may_split) continue;
      const auto same = [&group](const Change& change) { return change.token_cost() == group.token_cost; };
      if (std::none_of(changes_.begin(), changes_.end(), same)) changes_.emplace_back(question, group.token_cost);
    }
  }

  bool exceeds() {
    for (const double grid : grids()) {
      if (exceeds(DualFeasible::rounding(room_, grid))) return true;
    }
    for (int count = 1; count <= 4; ++count) {
      for (const double gap : gaps(count)) {
        if (exceeds(DualFeasible::filling(room_, count, gap))) return true;
      }
    }
    return false;
  }

 private:
  bool exceeds(DualFeasible f) {
    for (const double volume : {0.0, 0.25, 0.5, 0.75}) {
      f.set_volume(volume);
      for (Change& change : changes_) change.prepare(f);
      double value = 0;
      for (const Group& group : question_.groups) value += group.count * least(f, group);
      if (value > question_.num_parts * (1 + kSpare)) return true;
    }
    return false;
  }

  double least(const DualFeasible& f, const Group& group) const {
    const double whole = group.may_stay_whole ? f(group.whole) : kNever;
    if (!group.may_split) return whole;
    const auto change = std::find_if(changes_.begin(), changes_.end(),
                                     [&group](const Change& c) { return c.token_cost() == group.token_cost; });
    return whole <= change->at_least(group) ? whole : std::min(whole, change->least(f, group));
  }

  /// Costs of units, just below so that those count as a whole step, and even shares of a part, just above.
  std::vector<double> grids() const {
    std::vector<double> grids;
    for (int share = 2; share <= 13; ++share) grids.push_back(room_ / share * (1 + 1e-8));
    const auto add = [&](double cost) {
      if (cost > 0 && cost <= room_) grids.push_back(cost * (1 - 1e-9));
    };
    for (const Change& change : changes_) {
      for (int64_t quanta = 1; quanta <= 4; ++quanta)
        add(piece_cost(quanta * question_.model.quantum, change.token_cost(), question_.model));
    }
    const size_t count = question_.groups.size();
    for (size_t i = 0; i < std::min<size_t>(count, 8); ++i) {
      const Group& group = question_.groups[i * count / std::min<size_t>(count, 8)];
      add(group.whole);
      if (group.may_split && group.tail > 0) add(piece_cost(group.tail, group.token_cost, question_.model));
    }
    return grids;
  }

  /// Just below what the cheapest units need, and just what `count` of the largest equal units that fit leave.
  std::vector<double> gaps(int count) const {
    const CostModel& model = question_.model;
    const double part = room_ / count;
    std::vector<double> gaps;
    const auto add = [&](double gap) {
      if (gap > 0 && gap * (count + 1) < room_) gaps.push_back(gap);
    };
    add(question_.groups.front().whole * (1 - 1e-9));
    double tail = kNever;
    double whole = 0;
    for (const Group& group : question_.groups) {
      if (group.whole <= part) whole = group.whole;
      if (group.may_split)
        tail = std::min(tail, piece_cost(least_tail(group.tokens, model.quantum), group.token_cost, model));
    }
    add(room_ - count * whole * (1 - 1e-9));
    if (tail < kNever) add(tail * (1 - 1e-9));
    for (const Change& change : changes_) {
      const double quantum = static_cast<double>(model.quantum) * change.token_cost();
      const double least = piece_overhead(model) + quantum;
      for (const double gap : {least, least * 2 / 3, least / 3}) add(gap * (1 - 1e-9));
      const double full = piece_overhead(model) + std::floor((part - piece_overhead(model)) / quantum) * quantum;
      add(room_ - count * full * (1 - 1e-9));
    }
    return gaps;
  }

  const Question& question_;
  double room_;
  std::vector<Change> changes_;
};

}  // namespace

bool exceeds_dual_feasible(const Question& question) {
  return DualFeasibleRelaxation(question).exceeds();
}

}  // namespace flash_mla::plan
