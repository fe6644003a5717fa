#include <algorithm>
#include <limits>

#include "plan/question.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kMaxQuanta = 64;  // in a part: finer quanta hardly bind
constexpr size_t kMaxWorth = 512;

/// What units are worth: a unit of a split item one for each whole quantum and `unit` besides, and `tail` for its
/// item's last keys if those beyond the last quantum are at least `least_tail`. A whole item is worth as much as if
/// split in two; one that cannot be split is worth its quanta and `rest` times its other cost in quanta.
struct Worth {
  int64_t unit;
  int64_t tail;
  int64_t least_tail;
  double rest;
};

class QuantaRelaxation {
 public:
  QuantaRelaxation(const Question& question, const Worth& worth) : question_(question), worth_(worth) {
    for (const Group& group : question.groups) {
      if (group.token_cost > 0) token_cost_ = std::min(token_cost_, group.token_cost);
      if (group.may_split) max_quanta_ = std::max(max_quanta_, group.quanta);
    }
    quantum_cost_ = static_cast<double>(question.model.quantum) * token_cost_;
  }

  bool exceeds() {
    const double room = question_.target * (1 + kSpare);
    if (token_cost_ == kNever || !(quantum_cost_ * kMaxQuanta >= room)) return false;
    list_units();
    const double most = most_in(room);
    if (most < 0) return false;
    double worth = 0;
    for (const Group& group : question_.groups) {
      double least = kNever;
      if (group.may_stay_whole) least = static_cast<double>(worth_of_whole(group));
      if (group.may_split) {
        least = std::min(least, static_cast<double>(group.quanta + group.least_units * worth_.unit + tail_of(group)));
      }
      worth += group.count * least;
    }
    return worth > question_.num_parts * most * (1 + kSpare);
  }

 private:
  int64_t tail_of(const Group& group) const {
    return group.tail > 0 && group.tail >= worth_.least_tail ? worth_.tail : 0;
  }
  int64_t worth_of_whole(const Group& group) const {
    if (group.may_split) return group.quanta + 2 * worth_.unit + tail_of(group);
    const double rest = group.whole - static_cast<double>(group.quanta) * quantum_cost_;
    return group.quanta + static_cast<int64_t>(worth_.rest * std::max(0.0, rest) / quantum_cost_);
  }

  void offer(int64_t worth, double cost) {
    if (worth <= 0) return;
    if (static_cast<size_t>(worth) >= cheapest_.size()) cheapest_.resize(worth + 1, kNever);
    cheapest_[worth] = std::min(cheapest_[worth], cost);
  }

  /// The cheapest unit of each worth.
  void list_units() {
    const CostModel& model = question_.model;
    const int64_t most_quanta = std::min(max_quanta_, static_cast<int64_t>(question_.target / quantum_cost_) + 1);
    for (int64_t quanta = 1; quanta <= most_quanta; ++quanta)
      offer(quanta + worth_.unit, piece_cost(quanta * model.quantum, token_cost_, model));
    for (const Group& group : question_.groups) {
      if (group.may_stay_whole) offer(worth_of_whole(group), group.whole);
      if (!group.may_split || group.tail == 0) continue;
      for (int64_t quanta = 0; quanta <= most_quanta; ++quanta)
        offer(quanta + worth_.unit + tail_of(group),
              piece_cost(quanta * model.quantum + group.tail, token_cost_, model));
    }
  }

  /// Worth of the best part, or -1 if that is too much to count.
  double most_in(double room) {
    if (cheapest_.empty()) return -1;
    double density = 0;
    for (size_t worth = 1; worth < cheapest_.size(); ++worth)
      density = std::max(density, static_cast<double>(worth) / cheapest_[worth]);
    if (!(density * room < static_cast<double>(kMaxWorth))) return -1;
    const size_t limit = static_cast<size_t>(density * room) + 1;
    std::vector<double> cost(limit + 1, kNever);
    cost[0] = 0;
    size_t most = 0;
    for (size_t total = 1; total <= limit; ++total) {
      for (size_t worth = 1; worth <= std::min(total, cheapest_.size() - 1); ++worth)
        cost[total] = std::min(cost[total], cost[total - worth] + cheapest_[worth]);
      if (cost[total] <= room) most = total;
    }
    return static_cast<double>(most);
  }

  const Question& question_;
  Worth worth_;
  double token_cost_ = kNever;
  double quantum_cost_ = 0;
  int64_t max_quanta_ = 0;
  std::vector<double> cheapest_;
};

}  // namespace

bool exceeds_quanta(const Question& question) {
  const int64_t half = question.model.quantum / 2;
  for (const int64_t unit : {0, 1, 2, 4}) {
    for (const double rest : {0.0, 0.5, 1.0}) {
      for (const Worth& worth : {Worth{unit, 0, 1, rest}, Worth{unit, 1, 1, rest}, Worth{unit, 1, half, rest}}) {
        if (QuantaRelaxation(question, worth).exceeds()) return true;
      }
    }
  }
  return false;
}

}  // namespace flash_mla::plan
