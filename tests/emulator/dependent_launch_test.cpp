// Grids that may overlap: programmatic dependent launch.
#include <gtest/gtest.h>

#include "kernel.h"

namespace emulator::test {
namespace {

using machine::Finding;

constexpr const char* kTrigger = "griddepcontrol.launch_dependents;";
constexpr const char* kWait = "griddepcontrol.wait;";

struct Grid {
  std::string body;
  bool dependent;
};

/// Runs kernels one after the other in one stream, over words of out and of in; their own word is at %d2 and %d3.
Result run_stream(const std::vector<Grid>& grids) {
  std::vector<std::unique_ptr<Kernel>> kernels;
  machine::Memory memory;
  machine::Prerequisites stream;
  Result all;
  for (const Grid& grid : grids) {
    kernels.push_back(std::make_unique<Kernel>(kernel_text(R"(
      mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mad.lo.u32 %r1, %r2, 32, %r1; mul.wide.u32 %d1, %r1, 4;
      add.u64 %d2, %out, %d1; add.u64 %d3, %in, %d1;)" + grid.body)));
    Kernel& kernel = *kernels.back();
    static uint64_t out = 0, in = 0;
    if (kernels.size() == 1) {
      out = kernel.upload(std::vector<uint32_t>(64));
      in = kernel.upload(std::vector<uint32_t>(64));
    } else {
      kernel.memory = std::move(memory);
    }
    kernel.argument(out);
    kernel.argument(in);
    kernel.shape = {{2, 1, 1}, {32, 1, 1}, {1, 1, 1}, 0, grid.dependent};
    const Result result = kernel.run(&stream);
    all.refusal += result.refusal;
    all.reports.insert(all.reports.end(), result.reports.begin(), result.reports.end());
    memory = std::move(kernel.memory);
  }
  return all;
}

const std::string kWrite = "st.global.u32 [%d2], 1;";
const std::string kRead = "ld.global.u32 %r3, [%d2];";

void expect_clean(const std::vector<Grid>& grids) {
  const Result result = run_stream(grids);
  EXPECT_TRUE(result.clean()) << result.text();
}
void expect_race(const std::vector<Grid>& grids) {
  const Result result = run_stream(grids);
  EXPECT_TRUE(result.refusal.empty()) << result.refusal;
  EXPECT_TRUE(result.found(Finding::race)) << result.text();
}

TEST(DependentLaunch, ReadsAfterTheWait) {
  expect_clean({{kTrigger + kWrite, false}, {kWait + kRead, true}});
  expect_race({{kTrigger + kWrite, false}, {kRead + kWait, true}});
}

TEST(DependentLaunch, NeedsTheWaitWithoutATriggerToo) {
  expect_clean({{kWrite, false}, {kWait + kRead, true}});
  expect_race({{kWrite, false}, {kRead, true}});
}

TEST(DependentLaunch, IsOrderedWithoutTheAttribute) {
  expect_clean({{kTrigger + kWrite, false}, {kRead, false}});
}

TEST(DependentLaunch, OverwritesAfterTheWait) {
  expect_clean({{kTrigger + kRead, false}, {kWait + kWrite, true}});
  expect_race({{kTrigger + kRead, false}, {kWrite + kWait, true}});
}

TEST(DependentLaunch, MayReadBeforeTheWaitWhatNobodyWrote) {
  expect_clean({{kTrigger + kWrite, false}, {"ld.global.u32 %r4, [%d3];" + std::string(kWait) + kRead, true}});
}

TEST(DependentLaunch, OneThreadWaitsForAllThatItsCtaOrders) {
  const std::string one = "setp.ne.u32 %p1, %r1, 0; @%p1 bra skip; " + std::string(kWait) + " skip: ";
  expect_clean({{kTrigger + kWrite, false}, {one + "bar.sync 0; setp.lt.u32 %p2, %r1, 32; @%p2 " + kRead, true}});
}

TEST(DependentLaunch, AGridThatDoesNotWaitSaysNothingOfThoseBefore) {
  const std::string other = "st.global.u32 [%d3], 1;";
  expect_clean({{kWrite, false}, {kWait + other, true}, {kWait + kRead, true}});
  expect_race({{kWrite, false}, {other, true}, {kWait + kRead, true}});
}

TEST(DependentLaunch, ATriggerAfterTheWaitSpeaksForTheGridsBefore) {
  expect_clean({{kWrite, false}, {std::string(kWait) + kTrigger, true}, {kRead + kWait, true}});
  expect_race({{kWrite, false}, {std::string(kTrigger) + kWait, true}, {kRead + kWait, true}});
}

TEST(DependentLaunch, NamesBothKernels) {
  const Result result = run_stream({{kTrigger + kWrite, false}, {kRead + kWait, true}});
  ASSERT_EQ(result.reports.size(), 1u) << result.text();
  EXPECT_NE(result.reports[0].message.find("there is no griddepcontrol.wait after the write by kernel test at line"),
            std::string::npos)
      << result.text();
}

}  // namespace
}  // namespace emulator::test
