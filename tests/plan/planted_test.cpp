// Planners with a defect each: the check that the tests rest on must reject every one.
#include <gtest/gtest.h>

#include <algorithm>

#include "batches.h"
#include "schedule_check.h"

namespace flash_mla::plan::test {
namespace {

constexpr CostModel kModel = {5000, 10000, 16};

const std::vector<Item>& batch() {
  static const std::vector<Item> items = {{5000, 80}, {0, 80}, {33, 80}, {2000, 80}, {64, 80}};
  return items;
}
constexpr int kParts = 4;

Schedule planned() {
  Schedule schedule;
  plan_balanced(batch(), kParts, kModel, schedule);
  return schedule;
}

/// The last unit of a split item, and the first unit of one.
Unit& last_of_split(Schedule& schedule) {
  return *std::find_if(schedule.units.rbegin(), schedule.units.rend(),
                       [&](const Unit& unit) { return schedule.num_splits[unit.item] > 1; });
}
Unit& first_of_split(Schedule& schedule) {
  return *std::find_if(schedule.units.begin(), schedule.units.end(),
                       [&](const Unit& unit) { return schedule.num_splits[unit.item] > 1; });
}
std::vector<Unit>::iterator unit_of(Schedule& schedule, int32_t item) {
  return std::find_if(schedule.units.begin(), schedule.units.end(),
                      [=](const Unit& unit) { return unit.item == item; });
}

struct Defect {
  const char* name;
  void (*plant)(Schedule&);
};

const Defect kDefects[] = {
    {"tail_short_by_one", [](Schedule& s) { --last_of_split(s).end; }},
    {"tail_long_by_one", [](Schedule& s) { ++last_of_split(s).end; }},
    {"token_dropped_at_a_border", [](Schedule& s) { ++last_of_split(s).begin; }},
    {"token_doubled_at_a_border", [](Schedule& s) { --last_of_split(s).begin; }},
    {"border_off_the_quantum",
     [](Schedule& s) {
       ++first_of_split(s).end;
       ++std::find_if(s.units.begin(), s.units.end(), [&](const Unit& u) {
           return u.item == first_of_split(s).item && u.split == 1;
         })->begin;
     }},
    {"unit_dropped",
     [](Schedule& s) {
       s.units.pop_back();
       --s.part_begin.back();
     }},
    {"unit_doubled",
     [](Schedule& s) {
       s.units.push_back(s.units.back());
       ++s.part_begin.back();
     }},
    {"unit_in_no_part", [](Schedule& s) { --s.part_begin.back(); }},
    {"part_missing", [](Schedule& s) { s.part_begin.erase(s.part_begin.begin() + 1); }},
    {"parts_overlap", [](Schedule& s) { s.part_begin[1] = s.part_begin[2] + 1; }},
    {"split_count_high", [](Schedule& s) { ++s.num_splits[first_of_split(s).item]; }},
    {"split_count_low", [](Schedule& s) { --s.num_splits[first_of_split(s).item]; }},
    {"split_count_missing", [](Schedule& s) { s.num_splits.pop_back(); }},
    {"split_numbers_swapped", [](Schedule& s) { std::swap(first_of_split(s).split, last_of_split(s).split); }},
    {"keys_out_of_order",
     [](Schedule& s) {
       std::swap(first_of_split(s).begin, last_of_split(s).begin);
       std::swap(first_of_split(s).end, last_of_split(s).end);
     }},
    {"empty_item_forgotten",
     [](Schedule& s) {
       const auto unit = unit_of(s, 1);
       for (int32_t& begin : s.part_begin) begin -= begin > unit - s.units.begin() ? 1 : 0;
       s.units.erase(unit);
       s.num_splits[1] = 0;
     }},
    {"empty_unit_added",
     [](Schedule& s) {
       s.units.push_back({4, s.num_splits[4]++, 64, 64});
       ++s.part_begin.back();
     }},
    {"wrong_item", [](Schedule& s) { unit_of(s, 2)->item = 4; }},
    {"item_out_of_range", [](Schedule& s) { unit_of(s, 2)->item = 5; }},
    {"makespan_too_good", [](Schedule& s) { s.makespan *= 0.99; }},
    {"makespan_without_split_cost", [](Schedule& s) { s.makespan -= kModel.split_cost; }},
};

class Planted : public testing::TestWithParam<Defect> {};

TEST_P(Planted, IsRejected) {
  Schedule schedule = planned();
  ASSERT_EQ(complaint(batch(), kParts, kModel, schedule), "");
  ASSERT_GT(first_of_split(schedule).end, 0) << "the defects need an item that is split";
  GetParam().plant(schedule);
  EXPECT_NE(complaint(batch(), kParts, kModel, schedule), "");
}

INSTANTIATE_TEST_SUITE_P(Defects, Planted, testing::ValuesIn(kDefects),
                         [](const auto& instance) { return instance.param.name; });

TEST(PlantedPlanner, SplitsForNothing) {
  const std::vector<Item> items = {{32, 80}};
  Schedule schedule;
  schedule.units = {{0, 0, 0, 16}, {0, 1, 16, 32}};
  schedule.part_begin = {0, 2};
  schedule.num_splits = {2};
  schedule.makespan = 2 * (kModel.unit_cost + kModel.split_cost) + 32 * 80;
  EXPECT_NE(complaint(items, 1, kModel, schedule), "");
  EXPECT_EQ(complaint(items, 1, kModel, schedule, Order::any), "");
}

/// Nothing is split and nothing balanced: the tenth over the ideal must be missed.
TEST(PlantedPlanner, PutsItemsInTurn) {
  const int num_parts = 4;
  double makespan = 0;
  for (int part = 0; part < num_parts; ++part) {
    double load = 0;
    for (size_t i = part; i < batch().size(); i += num_parts)
      load += kModel.unit_cost + static_cast<double>(batch()[i].tokens) * batch()[i].token_cost;
    makespan = std::max(makespan, load);
  }
  EXPECT_GT(makespan, 1.10 * ideal_makespan(batch(), num_parts, kModel));
}

}  // namespace
}  // namespace flash_mla::plan::test
