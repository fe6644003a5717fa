#include "plan/question.h"

#include <algorithm>
#include <tuple>

#include "plan/unit_cost.h"

namespace flash_mla::plan {

Question ask(std::span<const Item> items, int num_parts, const CostModel& model) {
  std::vector<Item> sorted(items.begin(), items.end());
  std::sort(sorted.begin(), sorted.end(), [&model](const Item& a, const Item& b) {
    return std::tuple(whole_cost(a, model), a.tokens, a.token_cost) <
           std::tuple(whole_cost(b, model), b.tokens, b.token_cost);
  });
  Question question = {{}, num_parts, model, 0};
  for (const Item& item : sorted) {
    if (question.groups.empty() || question.groups.back().tokens != item.tokens ||
        question.groups.back().token_cost != item.token_cost) {
      Group group;
      group.tokens = item.tokens;
      group.token_cost = item.token_cost;
      group.whole = whole_cost(item, model);
      group.quanta = item.tokens / model.quantum;
      group.tail = item.tokens % model.quantum;
      question.groups.push_back(group);
    }
    ++question.groups.back().count;
  }
  return question;
}

void set_target(double target, Question& question) {
  const CostModel& model = question.model;
  question.target = target;
  for (Group& group : question.groups) {
    group.may_stay_whole = group.whole <= target * (1 + kSpare);
    const double room = target * (1 + kSpare) - piece_overhead(model);
    const int64_t most = keys_within(room, group.token_cost, group.tokens - 1);
    const int64_t full = round_down(most, model.quantum);
    group.may_split = full > 0;
    if (!group.may_split) continue;
    group.least_units = std::max<int64_t>(2, 1 + (group.tokens - most + full - 1) / full);
    group.may_split = group.least_units <= question.num_parts;
  }
}

bool exceeds_volume(const Question& question) {
  double work = 0;
  for (const Group& group : question.groups) {
    if (group.may_stay_whole) {
      work += group.count * group.whole;
    } else if (group.may_split) {
      work += group.count * (static_cast<double>(group.tokens) * group.token_cost +
                             static_cast<double>(group.least_units) * piece_overhead(question.model));
    } else {
      return true;
    }
  }
  return work > question.num_parts * question.target * (1 + kSpare);
}

}  // namespace flash_mla::plan
