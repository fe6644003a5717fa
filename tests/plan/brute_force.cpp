#include "brute_force.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace flash_mla::plan::test {

namespace {

class Search {
 public:
  Search(std::span<const Item> items, int num_parts, const CostModel& model)
      : items_(items), model_(model), load_(num_parts, 0), quanta_(num_parts, 0) {}

  double run() {
    place(0);
    return best_;
  }

 private:
  bool hopeless() const { return *std::max_element(load_.begin(), load_.end()) >= best_; }

  void place(size_t item) {
    if (hopeless()) return;
    if (item == items_.size()) {
      best_ = *std::max_element(load_.begin(), load_.end());
      return;
    }
    const double whole = model_.unit_cost + static_cast<double>(items_[item].tokens) * items_[item].token_cost;
    for (double& load : load_) {
      const double before = load;
      load += whole;
      place(item + 1);
      load = before;
    }
    deal_quanta(item, 0, items_[item].tokens / model_.quantum);
  }

  /// Tries all numbers of quanta for part and those after it.
  void deal_quanta(size_t item, size_t part, int64_t left) {
    if (part == load_.size()) {
      if (left == 0) place_split(item);
      return;
    }
    for (quanta_[part] = 0; quanta_[part] <= left; ++quanta_[part]) deal_quanta(item, part + 1, left - quanta_[part]);
    quanta_[part] = 0;
  }

  void place_split(size_t item) {
    const int64_t tail = items_[item].tokens % model_.quantum;
    const std::vector<int64_t> quanta = quanta_;
    const std::vector<double> before = load_;
    for (size_t tail_part = 0; tail_part < load_.size(); ++tail_part) {
      int units = 0;
      for (size_t part = 0; part < load_.size(); ++part) {
        const int64_t tokens = quanta[part] * model_.quantum + (part == tail_part ? tail : 0);
        if (tokens == 0) continue;
        ++units;
        load_[part] += model_.unit_cost + model_.split_cost + static_cast<double>(tokens) * items_[item].token_cost;
      }
      if (units >= 2) place(item + 1);
      load_ = before;
      if (tail == 0) break;
    }
    quanta_ = quanta;
  }

  std::span<const Item> items_;
  CostModel model_;
  std::vector<double> load_;
  std::vector<int64_t> quanta_;  ///< of the item at hand in each part
  double best_ = std::numeric_limits<double>::infinity();
};

}  // namespace

double best_makespan(std::span<const Item> items, int num_parts, const CostModel& model) {
  return Search(items, num_parts, model).run();
}

}  // namespace flash_mla::plan::test
