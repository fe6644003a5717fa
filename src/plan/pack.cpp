#include "plan/pack.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "plan/gap_tree.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

namespace {

constexpr double kOutOfReach = std::numeric_limits<double>::infinity();

/// Parts are numbered so that an item's last keys land in the highest of its parts: [0, front_) are filled by full
/// units, [back_, num_parts) by full units that hold their item's last keys, and those between take all the rest.
class Packing {
 public:
  Packing(const PackingProblem& problem, double target, Misfits misfits)
      : problem_(problem),
        overfill_(misfits == Misfits::overfill),
        memory_(problem.memory),
        quantum_(problem.model.quantum),
        room_(target * (1 + 1e-9)),
        gaps_(memory_.gap_tree, problem.num_parts, room_),
        back_(problem.num_parts) {
    memory_.trial.clear();
    memory_.remainders.clear();
    memory_.misfits.clear();
  }

  double run() {
    while (next_ < problem_.num_coarse && memory_.cost[memory_.order[next_]] > room_) {
      if (!cut_giant(memory_.order[next_++])) return kOutOfReach;
    }
    sort_remainders();
    place_all();
    if (!memory_.misfits.empty()) {
      if (overfill_) return kOutOfReach;
      if (!fill_gaps()) return kOutOfReach;
      place_all();
      if (!memory_.misfits.empty()) return kOutOfReach;
    }
    memory_.load.resize(problem_.num_parts);
    for (int part = 0; part < problem_.num_parts; ++part) memory_.load[part] = room_ - gaps_.gap(part);
    const double total = std::accumulate(memory_.load.begin(), memory_.load.end(), problem_.crumbs);
    if (!overfill_ && total > room_ * problem_.num_parts) return kOutOfReach;
    return *std::max_element(memory_.load.begin(), memory_.load.end());
  }

 private:
  double cost_of_piece(int32_t item, int64_t tokens) const {
    return piece_cost(tokens, problem_.items[item].token_cost, problem_.model);
  }

  /// Keys of an item that a unit in this gap can hold, at most `limit`.
  int64_t capacity(int32_t item, double gap, int64_t limit) const {
    return keys_within(gap - piece_overhead(problem_.model), problem_.items[item].token_cost, limit);
  }

  void place(int32_t item, int part, int64_t tokens, double cost) {
    memory_.trial.push_back({item, part, tokens});
    gaps_.set(part, gaps_.gap(part) - cost);
  }

  bool cut_giant(int32_t item) {
    int64_t tokens = problem_.items[item].tokens;
    const int64_t most = capacity(item, room_, tokens - 1);
    const int64_t full = round_down(most, quantum_);
    if (full <= 0) return false;
    int64_t num_full = (tokens - most + full - 1) / full;
    const int64_t tail = tokens % quantum_;
    if (tail > 0 && full + tail <= most) {
      if (front_ == back_) return false;
      place(item, --back_, full + tail, cost_of_piece(item, full + tail));
      tokens -= full + tail;
      num_full = (tokens - 1) / full;
    }
    if (num_full > back_ - front_) return false;
    const double cost = cost_of_piece(item, full);
    for (int64_t i = 0; i < num_full; ++i) place(item, front_++, full, cost);
    tokens -= num_full * full;
    memory_.remainders.push_back({item, tokens, cost_of_piece(item, tokens)});
    return true;
  }

  void sort_remainders() {
    std::sort(memory_.remainders.begin(), memory_.remainders.end(), [](const Remainder& a, const Remainder& b) {
      return a.cost != b.cost ? a.cost > b.cost : a.item < b.item;
    });
  }

  /// Stops before items that cost less than the least unit of a misfit: those fill what the misfits leave.
  void place_all() {
    double least = 0;
    while (next_ < problem_.num_coarse || next_remainder_ < memory_.remainders.size()) {
      const double whole = next_ < problem_.num_coarse ? memory_.cost[memory_.order[next_]] : -1;
      Remainder piece;
      int part;
      if (next_remainder_ < memory_.remainders.size() && memory_.remainders[next_remainder_].cost >= whole) {
        piece = memory_.remainders[next_remainder_++];
        part = gaps_.first_with(piece.cost, front_);
        if (part >= back_) part = -1;
      } else {
        if (whole < least) return;
        const int32_t item = memory_.order[next_++];
        piece = {item, problem_.items[item].tokens, whole};
        part = gaps_.first_with(whole, 0);
      }
      if (part < 0 && overfill_) {
        part = gaps_.roomiest();
        if (part < front_ || part >= back_) part = -1;
      }
      if (part >= 0) {
        place(piece.item, part, piece.tokens, piece.cost);
      } else {
        memory_.misfits.push_back(piece);
        const double least_unit = cost_of_piece(piece.item, quantum_);
        least = memory_.misfits.size() == 1 ? least_unit : std::min(least, least_unit);
      }
    }
  }

  /// Renumbers the parts between front_ and back_, roomiest first.
  void sort_gaps() {
    memory_.part_order.resize(problem_.num_parts);
    memory_.part_rank.resize(problem_.num_parts);
    memory_.load.resize(problem_.num_parts);
    for (int part = 0; part < problem_.num_parts; ++part) {
      memory_.part_order[part] = part;
      memory_.load[part] = gaps_.gap(part);
    }
    std::sort(memory_.part_order.begin() + front_, memory_.part_order.begin() + back_, [this](int32_t a, int32_t b) {
      return memory_.load[a] != memory_.load[b] ? memory_.load[a] > memory_.load[b] : a < b;
    });
    for (int part = 0; part < problem_.num_parts; ++part) {
      memory_.part_rank[memory_.part_order[part]] = part;
      gaps_.set(part, memory_.load[memory_.part_order[part]]);
    }
    for (Placement& placement : memory_.trial) placement.part = memory_.part_rank[placement.part];
  }

  bool fill_gaps() {
    sort_gaps();
    int part = front_;
    for (const Remainder& misfit : memory_.misfits) {
      int64_t tokens = misfit.tokens;
      if (tokens == 0) return false;
      while (tokens > 0) {
        if (part == back_) return false;
        int64_t taken = capacity(misfit.item, gaps_.gap(part), tokens);
        if (taken < tokens) taken = round_down(taken, quantum_);
        if (taken > 0) place(misfit.item, part, taken, cost_of_piece(misfit.item, taken));
        tokens -= taken;
        if (tokens > 0) ++part;
      }
    }
    memory_.misfits.clear();
    return true;
  }

  const PackingProblem& problem_;
  bool overfill_;
  PlannerMemory& memory_;
  int64_t quantum_;
  double room_;
  GapTree gaps_;
  int front_ = 0;
  int back_;
  size_t next_ = 0;  ///< in order
  size_t next_remainder_ = 0;
};

}  // namespace

double pack(const PackingProblem& problem, double target, Misfits misfits) {
  return Packing(problem, target, misfits).run();
}

double spread(const PackingProblem& problem, size_t first) {
  PlannerMemory& memory = problem.memory;
  double most = std::accumulate(memory.load.begin(), memory.load.end(), 0.0);
  for (size_t i = first; i < memory.order.size(); ++i) most += memory.cost[memory.order[i]];
  GapTree gaps(memory.gap_tree, problem.num_parts, most);
  for (int part = 0; part < problem.num_parts; ++part) gaps.set(part, most - memory.load[part]);
  for (size_t i = first; i < memory.order.size(); ++i) {
    const int32_t item = memory.order[i];
    const int part = gaps.roomiest();
    memory.best.push_back({item, part, problem.items[item].tokens});
    memory.load[part] += memory.cost[item];
    gaps.set(part, most - memory.load[part]);
  }
  return *std::max_element(memory.load.begin(), memory.load.end());
}

}  // namespace flash_mla::plan
