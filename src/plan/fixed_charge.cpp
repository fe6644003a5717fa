#include <algorithm>
#include <limits>

#include "plan/question.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// Items that stay whole, in two classes: of the big ones a part holds at most max_big.
struct Sizes {
  std::vector<double> whole;    ///< ascending
  std::vector<double> sum;      ///< [whole + 1] of the first ones
  double least_other = kNever;  ///< the cheapest unit that is not a big whole item, but for whole[0]
};

Sizes measure(const Question& question) {
  Sizes sizes;
  for (const Group& group : question.groups) {
    if (group.may_stay_whole) sizes.whole.insert(sizes.whole.end(), static_cast<size_t>(group.count), group.whole);
    if (group.may_split) {
      const int64_t tail = least_tail(group.tokens, question.model.quantum);
      sizes.least_other = std::min(sizes.least_other, piece_cost(tail, group.token_cost, question.model));
    }
  }
  sizes.sum.assign(1, 0);
  for (const double cost : sizes.whole) sizes.sum.push_back(sizes.sum.back() + cost);
  return sizes;
}

/// Index of the first big item, such that max_big + 1 big ones never fit a part. Equal items are big together.
size_t first_big(const Sizes& sizes, size_t max_big, double room) {
  const size_t count = sizes.whole.size();
  size_t first = 0;
  while (first + max_big < count && sizes.sum[first + max_big + 1] - sizes.sum[first] <= room) ++first;
  if (first + max_big >= count) first = count - std::min(count, max_big);
  while (first > 0 && first < count && sizes.whole[first] == sizes.whole[first - 1]) ++first;
  return first;
}

bool exceeds(const Question& question, const Sizes& sizes, size_t max_big, double charge) {
  const double room = question.target * (1 + kSpare);
  const double overhead = piece_overhead(question.model);
  const double bonus = 2 * (overhead - charge) - question.model.unit_cost;  // splitting in two is then worth the same
  const size_t first = first_big(sizes, max_big, room);
  const double least_big = first < sizes.whole.size() ? sizes.whole[first] : kNever;
  const double least_other = std::min(sizes.least_other, first > 0 ? sizes.whole[0] : kNever);

  // The most a part is worth: it has no big item, some and another unit, or some alone. One alone is capped instead.
  double most = room - charge;
  for (size_t big = 1; big <= max_big && first + big <= sizes.whole.size(); ++big) {
    const double least = sizes.sum[first + big] - sizes.sum[first];
    if (least > room) break;
    const double bonuses = static_cast<double>(big) * bonus;
    if (least + least_other <= room) most = std::max(most, room - charge + bonuses);
    const double dearest = sizes.sum.back() - sizes.sum[sizes.whole.size() - big];
    if (big > 1) most = std::max(most, std::min(room, dearest) + bonuses);
  }
  if (most <= 0) return false;

  double worth = 0;
  for (const Group& group : question.groups) {
    double least = kNever;
    if (group.may_stay_whole) {
      least = group.whole >= least_big ? std::min(group.whole + bonus, most) : std::max(0.0, group.whole - charge);
    }
    if (group.may_split) {
      least = std::min(least, static_cast<double>(group.tokens) * group.token_cost +
                                  static_cast<double>(group.least_units) * (overhead - charge));
    }
    worth += group.count * least;
  }
  return worth > question.num_parts * most * (1 + kSpare);
}

}  // namespace

bool exceeds_fixed_charge(const Question& question) {
  constexpr size_t kMaxBig = 4;
  constexpr int kCharges = 8;
  const Sizes sizes = measure(question);
  for (size_t max_big = 1; max_big <= kMaxBig; ++max_big) {
    for (int i = 0; i <= kCharges; ++i) {
      if (exceeds(question, sizes, max_big, piece_overhead(question.model) * i / kCharges)) return true;
    }
  }
  return false;
}

}  // namespace flash_mla::plan
