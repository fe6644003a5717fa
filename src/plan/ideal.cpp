// ideal_makespan: the largest target that can be refuted, by bisection.
#include <algorithm>

#include "plan/question.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

namespace {

/// The largest target found to be refuted, or `low`: tries ever larger steps, then halves the last one.
template <class Refutes>
double raise(double low, double high, Question& question, const Refutes& refutes) {
  constexpr double kPrecision = 5e-4;
  const auto refuted = [&](double target) {
    set_target(target, question);
    return refutes(question);
  };
  for (double step = 2 * kPrecision; low * (1 + step) < high; step *= 2) {
    if (!refuted(low * (1 + step))) {
      high = low * (1 + step);
      break;
    }
    low *= 1 + step;
  }
  while (high - low > kPrecision * high) {
    const double middle = (low + high) / 2;
    (refuted(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace

double ideal_makespan(std::span<const Item> items, int num_parts, const CostModel& model) {
  if (items.empty()) return 0;
  double total = 0;
  double dearest = 0;
  for (const Item& item : items) {
    total += whole_cost(item, model);
    dearest = std::max(dearest, whole_cost(item, model));
  }
  Question question = ask(items, num_parts, model);
  const double mean = total / num_parts;
  const double high = mean + dearest;  // no part need be dearer: give each item to the cheapest
  const double volume = raise(mean, high, question, exceeds_volume);
  return raise(volume, high, question, [](const Question& q) {
    return exceeds_volume(q) || exceeds_fixed_charge(q) || exceeds_quanta(q) || exceeds_dual_feasible(q);
  });
}

}  // namespace flash_mla::plan
