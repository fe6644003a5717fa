// `check` finds what is wrong, and only that: its quick grid over decoders with a planted defect.
#include <gtest/gtest.h>

#include "check/grid.h"
#include "check/runner.h"
#include "check_defects.h"
#include "flash_mla/backend.h"

namespace flash_mla::cli {
namespace {

CheckResults run_quick_grid(const Decoder& decoder) {
  CheckPlan plan;
  plan.families = whole_grid(Extent::quick, 1);
  plan.backends = {find_backend("").value().name};
  plan.stop_at_failure = true;
  return run_check(plan, decoder);
}

class PlantedDefect : public testing::TestWithParam<size_t> {};

TEST_P(PlantedDefect, IsFound) {
  const Defect defect = defects()[GetParam()];
  const CheckResults results = run_quick_grid(defect.plant(library_decoder()));
  ASSERT_GT(results.cases(), 0);
  ASSERT_EQ(results.failures.size(), 1U) << defect.name << ": not found in " << results.cases() << " cases";
  RecordProperty("defect", defect.name);
  RecordProperty("found_in", results.failures.front().what);
  RecordProperty("found_as", results.failures.front().why);
}

INSTANTIATE_TEST_SUITE_P(Check, PlantedDefect, testing::Range(size_t{0}, defects().size()),
                         [](const testing::TestParamInfo<size_t>& tested) {
                           std::string name = defects()[tested.param].name;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

TEST(CheckDefects, TheLibraryHasNone) {
  const CheckResults results = run_quick_grid(library_decoder());
  EXPECT_GT(results.cases(), 100);
  EXPECT_TRUE(results.complete);
  for (const Failure& failure : results.failures) ADD_FAILURE() << failure.what << ": " << failure.why;
}

}  // namespace
}  // namespace flash_mla::cli
