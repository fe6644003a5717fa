#include "plan/balance.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "plan/order.h"
#include "plan/pack.h"
#include "plan/refine.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

namespace {

constexpr double kCloseEnough = 1.005;  // of a bound: finer than any cost model predicts
constexpr double kFar = 1.04;           // of a bound: worth another start
constexpr size_t kManyItems = 2048;     // beyond these, and 16 a part, items are crumbs while a target is searched
constexpr int kMaxBisections = 8;
constexpr int64_t kRefineBudget = 40000;  // pairs of units and parts, some 5 ns each

/// The least target for which the items that it forces to be split still fit in total.
double forced_split_bound(const PackingProblem& problem, double total) {
  const PlannerMemory& memory = problem.memory;
  const double overhead = piece_overhead(problem.model);
  const auto fits = [&](double target) {
    double work = total;
    for (const int32_t item : memory.order) {
      if (memory.cost[item] <= target) break;
      const double room = target - overhead;
      if (room <= 0) return false;
      const double keys = static_cast<double>(problem.items[item].tokens) * problem.items[item].token_cost;
      work += overhead * std::ceil(keys / room) - problem.model.unit_cost;
    }
    return work <= target * problem.num_parts;
  };
  double low = total / problem.num_parts;
  double high = memory.cost[memory.order.front()];
  if (high <= low || fits(low)) return low;
  while (high > low * 1.001) {
    const double middle = (low + high) / 2;
    (fits(middle) ? high : low) = middle;
  }
  return low;
}

double spread_whole(const PackingProblem& problem) {
  problem.memory.best.clear();
  problem.memory.load.assign(problem.num_parts, 0);
  return spread(problem, 0);
}

/// Looks for the least target that pack() reaches below `high`; keeps its placements in memory.best. False if none.
bool search(const PackingProblem& problem, double low, double high) {
  bool found = false;
  const auto try_target = [&](double target) {
    const double makespan = pack(problem, target);
    if (makespan >= high) {
      low = target;
      return false;
    }
    high = problem.crumbs > 0 ? target : makespan;  // crumbs fill the parts up to the target
    std::swap(problem.memory.trial, problem.memory.best);
    return found = true;
  };
  for (double step = kCloseEnough - 1; low * (1 + step) < high; step *= 2) {
    if (try_target(low * (1 + step))) break;
  }
  for (int i = 0; i < kMaxBisections && high > low * kCloseEnough; ++i) try_target((low + high) / 2);
  return found;
}

/// Fills memory.load with the loads of memory.best. Every item must have been placed in full, or not at all.
double measure_load(const PackingProblem& problem) {
  PlannerMemory& memory = problem.memory;
  memory.load.assign(problem.num_parts, 0);
  for (const Placement& placement : memory.best) {
    const Item& item = problem.items[placement.item];
    memory.load[placement.part] += placement.tokens == item.tokens
                                       ? memory.cost[placement.item]
                                       : piece_cost(placement.tokens, item.token_cost, problem.model);
  }
  return *std::max_element(memory.load.begin(), memory.load.end());
}

/// Where a schedule is far from the bound: refines others, packed for lower targets whose misfits overfill some parts.
/// For the last, 0, that is the longest-processing-time rule.
void start_elsewhere(const PackingProblem& problem, double bound, double makespan) {
  PlannerMemory& memory = problem.memory;
  for (const double target : {bound * 1.01, bound * 1.03, 0.0}) {
    if (makespan <= bound * kFar) return;
    std::swap(memory.best, memory.kept);
    if (target == 0) {
      spread_whole(problem);
    } else if (std::isinf(pack(problem, target, Misfits::overfill))) {
      std::swap(memory.best, memory.kept);
      continue;
    } else {
      std::swap(memory.best, memory.trial);
    }
    const double refined = refine(problem, bound * kCloseEnough, kRefineBudget);
    if (refined < makespan) {
      makespan = refined;
    } else {
      std::swap(memory.best, memory.kept);
    }
  }
}

}  // namespace

void balance(std::span<const Item> items, int num_parts, const CostModel& model, PlannerMemory& memory) {
  order_by_cost(memory);
  PackingProblem problem = {items, num_parts, model, memory, items.size(), 0};
  const size_t coarse = std::max(kManyItems, 16 * static_cast<size_t>(num_parts));
  if (coarse < items.size()) {
    problem.num_coarse = coarse;
    for (size_t i = coarse; i < items.size(); ++i) problem.crumbs += memory.cost[memory.order[i]];
  }
  memory.best.clear();
  if (items.empty()) return;

  const double total = std::accumulate(memory.cost.begin(), memory.cost.end(), 0.0);
  const double bound = forced_split_bound(problem, total);
  const double dearest = memory.cost[memory.order.front()];
  const bool whole_may_do = dearest <= 2 * bound;
  double makespan = whole_may_do ? spread_whole(problem) : bound + dearest;
  if (whole_may_do && makespan <= bound * kCloseEnough) return;
  const bool found = search(problem, bound, makespan);
  if (!found && !whole_may_do) spread_whole(problem);
  makespan = measure_load(problem);
  if (found && problem.num_coarse < items.size()) makespan = spread(problem, problem.num_coarse);
  if (makespan <= bound * kCloseEnough) return;
  makespan = refine(problem, bound * kCloseEnough, kRefineBudget);
  if (problem.num_coarse == items.size()) start_elsewhere(problem, bound, makespan);
}

}  // namespace flash_mla::plan
