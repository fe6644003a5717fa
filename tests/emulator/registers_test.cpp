// setmaxnreg: warpgroups that hand registers to each other.
#include <gtest/gtest.h>

#include "kernel.h"

namespace emulator::test {
namespace {

/// 384 threads, which start with 168 registers each: 64,512 of 65,536.
Result run_groups(const std::string& first_group, const std::string& others, const std::string& bound, uint64_t seed) {
  Kernel kernel(module_text(".visible .entry test() " + bound + R"( {
  .reg .b32 %r<4>;
  .reg .pred %p<4>;
  mov.u32 %r1, %tid.x;
  setp.ge.u32 %p1, %r1, 128;
  @%p1 bra others;
)" + first_group + "\n  ret;\nothers:\n" +
                            others + "\n  ret;\n}\n"));
  kernel.shape.block = {384, 1, 1};
  kernel.options.seed = seed;
  kernel.options.patience = 20'000;
  return kernel.run();
}

constexpr const char *kGive = "setmaxnreg.dec.sync.aligned.u32 24;", *kTake = "setmaxnreg.inc.sync.aligned.u32 240;";
constexpr const char* kBound = ".maxntid 384, 1, 1 .minnctapersm 1";

TEST(Registers, WarpsWaitForWhatOthersGive) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Result result = run_groups(kGive, kTake, kBound, seed);
    EXPECT_TRUE(result.clean()) << result.text();
  }
}

TEST(Registers, WhoWantsMoreThanThereAreWaitsForever) {
  const Result result = run_groups("", kTake, kBound, 1);
  EXPECT_TRUE(result.found(machine::Finding::deadlock)) << result.text();
  EXPECT_NE(result.text().find("waits for 240 registers a thread"), std::string::npos) << result.text();
}

TEST(Registers, AreNotTakenByGivingOrGivenByTaking) {
  for (const char* wrong : {"setmaxnreg.dec.sync.aligned.u32 240;", "setmaxnreg.inc.sync.aligned.u32 24;"}) {
    const Result result = run_groups(wrong, "", kBound, 1);
    EXPECT_TRUE(result.found(machine::Finding::register_pool)) << result.text();
  }
}

TEST(Registers, WithoutABoundNobodyKnowsWhatWarpsStartWith) {
  for (const char* bound : {"", ".maxntid 384, 1, 1"}) EXPECT_TRUE(run_groups("", kTake, bound, 1).clean());
}

}  // namespace
}  // namespace emulator::test
