// plan_invariant: an item's splits follow from its own cost alone.
#include <algorithm>
#include <limits>

#include "plan/balance.h"
#include "plan/deal.h"
#include "plan/emit.h"
#include "plan/unit_cost.h"

namespace flash_mla::plan {

namespace {

/// A unit of a split item holds keys worth at least so many overheads: splitting adds at most an eighth to an item's
/// cost.
constexpr double kLeastOverheads = 8;
constexpr int64_t kMostSplits = 1024;

Cut cut(const Item& item, const CostModel& model) {
  const double keys = static_cast<double>(item.tokens) * item.token_cost;
  const double least = kLeastOverheads * piece_overhead(model);
  if (!(keys >= 2 * least) || item.tokens <= model.quantum) return {.tokens = item.tokens};
  const double most_splits = least > 0 ? keys / least : static_cast<double>(kMostSplits);
  const int64_t quanta = (item.tokens - 1) / model.quantum + 1;
  const int64_t splits =
      std::min(quanta, static_cast<int64_t>(std::min(most_splits, static_cast<double>(kMostSplits))));
  return {static_cast<int32_t>(splits), item.tokens, quanta / splits * model.quantum, quanta % splits, model.quantum};
}

/// Balances the units as items that cannot be split.
void balance_units(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule) {
  PlannerMemory& memory = schedule.memory;
  make_room(memory.pieces, memory.cost.capacity());
  make_room(memory.piece_units, memory.cost.capacity());
  memory.cost.clear();
  memory.pieces.clear();
  memory.piece_units.clear();
  schedule.num_splits.clear();
  for (size_t i = 0; i < items.size(); ++i) {
    const Cut parts = cut(items[i], model);
    for (int32_t split = 0; split < parts.num_units; ++split) {
      const Unit unit = {static_cast<int32_t>(i), split, parts.border(split), parts.border(split + 1)};
      const int64_t tokens = unit.end - unit.begin;
      memory.cost.push_back(unit_overhead(parts, model) + static_cast<double>(tokens) * items[i].token_cost);
      memory.pieces.push_back({tokens, items[i].token_cost});
      memory.piece_units.push_back(unit);
    }
    schedule.num_splits.push_back(parts.num_units);
  }
  constexpr int64_t kUnsplittable = std::numeric_limits<int64_t>::max();
  balance(memory.pieces, num_parts, {model.unit_cost, model.split_cost, kUnsplittable}, memory);
  group_by_part(num_parts, schedule);
  for (Unit& unit : schedule.units) unit = memory.piece_units[unit.item];
  schedule.makespan = measure_makespan(items, model, schedule);
}

}  // namespace

void plan_invariant(std::span<const Item> items, int num_parts, const CostModel& model, Schedule& schedule) {
  int64_t num_units = 0;
  double total = 0;
  double dearest = 0;
  for (const Item& item : items) {
    const Cut parts = cut(item, model);
    num_units += parts.num_units;
    const double overhead = unit_overhead(parts, model);
    total += parts.num_units * overhead + static_cast<double>(item.tokens) * item.token_cost;
    dearest = std::max(dearest, overhead + static_cast<double>(parts.most()) * item.token_cost);
  }
  if (num_units > std::numeric_limits<int32_t>::max()) return refuse(num_parts, schedule);

  reserve(static_cast<size_t>(num_units), num_parts, schedule);
  if (dearest <= total / num_parts * kSmallUnit) {
    const auto cut_of = [&model](const Item& item) { return cut(item, model); };
    return deal(items, num_parts, model, static_cast<size_t>(num_units), total, cut_of, schedule);
  }
  balance_units(items, num_parts, model, schedule);
}

}  // namespace flash_mla::plan
