// The question behind the bound: can a batch be done within a target?
#pragma once

#include <span>
#include <vector>

#include "plan/split.h"

namespace flash_mla::plan {

/// Equal items, as the target lets them be done.
struct Group {
  int64_t tokens = 0;
  double token_cost = 0;
  double count = 0;
  double whole = 0;             ///< cost of one in one piece
  bool may_stay_whole = false;  ///< within the target
  bool may_split = false;       ///< into at most num_parts units, each within the target
  int64_t least_units = 2;      ///< of one that is split
  int64_t quanta = 0;           ///< whole ones
  int64_t tail = 0;             ///< keys beyond them
};

struct Question {
  std::vector<Group> groups;  ///< cheapest first
  int num_parts = 1;
  CostModel model;
  double target = 0;
};

/// Groups equal items. The target's fields are left to set_target().
Question ask(std::span<const Item> items, int num_parts, const CostModel& model);
void set_target(double target, Question& question);

// Each of these proves, if it returns true, that no schedule has a makespan of at most the target. All but the first
// give every unit a value such that the units in one part are never worth more than some most; if the items, each in
// its cheapest form, are worth more than num_parts times that, they do not fit. Why that holds: docs/planner.md.

/// Some item cannot be done at all, or the least work passes num_parts * target.
bool exceeds_volume(const Question& question);
/// Values are dual feasible functions of a unit's cost.
bool exceeds_dual_feasible(const Question& question);
/// Values are costs less a charge for each unit, which makes cheap what is split.
bool exceeds_fixed_charge(const Question& question);
/// Values are whole quanta; the most a part can hold is a knapsack problem.
bool exceeds_quanta(const Question& question);

/// Sums are compared, and room granted, with this much to spare: floating point must not refute a schedule that fits.
inline constexpr double kSpare = 1e-9;

}  // namespace flash_mla::plan
