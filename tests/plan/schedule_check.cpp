#include "schedule_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <vector>

namespace flash_mla::plan::test {

namespace {

std::string check_parts(int num_parts, const Schedule& schedule) {
  const std::vector<int32_t>& begin = schedule.part_begin;
  if (begin.size() != static_cast<size_t>(num_parts) + 1) {
    return fmt::format("part_begin has {} entries for {} parts", begin.size(), num_parts);
  }
  if (begin.front() != 0 || begin.back() != static_cast<int32_t>(schedule.units.size())) {
    return fmt::format("parts own units {} to {} of {}", begin.front(), begin.back(), schedule.units.size());
  }
  if (!std::is_sorted(begin.begin(), begin.end())) return "part_begin falls";
  return {};
}

std::string check_units(std::span<const Item> items, int64_t quantum, std::span<const Unit> units,
                        std::span<const int32_t> num_splits) {
  if (num_splits.size() != items.size()) {
    return fmt::format("num_splits has {} entries for {} items", num_splits.size(), items.size());
  }
  std::vector<int64_t> next_key(items.size(), 0);
  std::vector<int32_t> num_units(items.size(), 0);
  for (const Unit& unit : units) {
    if (unit.item < 0 || unit.item >= static_cast<int32_t>(items.size())) return fmt::format("item {}", unit.item);
    const int64_t tokens = items[unit.item].tokens;
    const std::string name = fmt::format("item {} of {} tokens, unit {}, keys {} to {}", unit.item, tokens, unit.split,
                                         unit.begin, unit.end);
    if (unit.begin != next_key[unit.item]) return fmt::format("{}: expected from {}", name, next_key[unit.item]);
    if (unit.split != num_units[unit.item]) return fmt::format("{}: expected unit {}", name, num_units[unit.item]);
    if (unit.end <= unit.begin && (tokens != 0 || unit.end != 0)) return fmt::format("{}: empty", name);
    if (unit.end != tokens && (unit.end - unit.begin) % quantum != 0) return fmt::format("{}: off the quantum", name);
    next_key[unit.item] = unit.end;
    ++num_units[unit.item];
  }
  for (size_t i = 0; i < items.size(); ++i) {
    if (next_key[i] != items[i].tokens) return fmt::format("item {}: {} of {} tokens", i, next_key[i], items[i].tokens);
    if (num_units[i] != num_splits[i] || num_units[i] < 1 || (items[i].tokens == 0 && num_units[i] != 1)) {
      return fmt::format("item {} of {} tokens: {} units, num_splits {}", i, items[i].tokens, num_units[i],
                         num_splits[i]);
    }
  }
  return {};
}

std::string check_loads(std::span<const Item> items, const CostModel& model, const Schedule& schedule, Order order) {
  double makespan = 0;
  for (size_t part = 0; part + 1 < schedule.part_begin.size(); ++part) {
    double load = 0;
    std::set<int32_t> seen;
    for (int32_t i = schedule.part_begin[part]; i < schedule.part_begin[part + 1]; ++i) {
      const Unit& unit = schedule.units[i];
      if (!seen.insert(unit.item).second && order == Order::by_key) {
        return fmt::format("part {} has two units of item {}", part, unit.item);
      }
      load += model.unit_cost + static_cast<double>(unit.end - unit.begin) * items[unit.item].token_cost;
      if (schedule.num_splits[unit.item] > 1) load += model.split_cost;
    }
    makespan = std::max(makespan, load);
  }
  if (!(std::abs(makespan - schedule.makespan) <= 1e-9 * makespan)) {
    return fmt::format("makespan {}, but the dearest part costs {}", schedule.makespan, makespan);
  }
  return {};
}

}  // namespace

std::string complaint(std::span<const Item> items, int num_parts, const CostModel& model, const Schedule& schedule,
                      Order order) {
  std::string wrong = check_parts(num_parts, schedule);
  if (wrong.empty()) {
    std::vector<Unit> units = schedule.units;
    if (order == Order::any) {
      std::sort(units.begin(), units.end(),
                [](const Unit& a, const Unit& b) { return std::tie(a.item, a.split) < std::tie(b.item, b.split); });
    }
    wrong = check_units(items, model.quantum, units, schedule.num_splits);
  }
  if (wrong.empty()) wrong = check_loads(items, model, schedule, order);
  return wrong;
}

}  // namespace flash_mla::plan::test
