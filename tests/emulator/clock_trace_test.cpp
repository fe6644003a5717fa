// Traces of kernels that the machine runs.
#include <gtest/gtest.h>

#include "clock/study.h"
#include "clock/tracer.h"
#include "gemm.h"
#include "kernel.h"

namespace emulator::test {
namespace {

using clock::StepKind;

clock::LaunchTrace trace_of(Kernel& kernel) {
  clock::Tracer tracer(kernel.program(), kernel.shape);
  kernel.options.observer = &tracer;
  const Result result = kernel.run();
  kernel.options.observer = nullptr;
  EXPECT_TRUE(result.clean()) << result.text();
  return tracer.take();
}

std::vector<StepKind> kinds_of(const clock::WarpTrace& steps) {
  std::vector<StepKind> kinds;
  for (const clock::Step& step : steps) kinds.push_back(step.kind);
  return kinds;
}

TEST(ClockTrace, OfALoadAndAStore) {
  Kernel kernel(kernel_text(R"(
  mov.u32 %r1, %laneid;
  mul.wide.u32 %d1, %r1, 4;
  add.u64 %d2, %in, %d1;
  ld.global.u32 %r2, [%d2];
  add.u64 %d3, %out, %d1;
  st.global.u32 [%d3], %r2;)"));
  kernel.shape.block = {32, 1, 1};
  kernel.argument(kernel.upload(std::vector<uint32_t>(32)));
  kernel.argument(kernel.upload(std::vector<uint32_t>(32)));
  const clock::LaunchTrace trace = trace_of(kernel);
  const clock::WarpTrace& steps = trace.ctas[0][0];
  const std::vector<StepKind> expected = {StepKind::run, StepKind::global_load, StepKind::run, StepKind::global_store,
                                          StepKind::run};
  ASSERT_EQ(kinds_of(steps), expected);
  EXPECT_EQ(steps[2].count, 1);
  EXPECT_EQ(steps[1].count, 1) << "lines";
  EXPECT_EQ(clock::bytes_of(trace.lines[steps[1].a]), 128u);
  EXPECT_NE(trace.lines[steps[1].a], trace.lines[steps[3].a]);
}

TEST(ClockTrace, BankConflictsAreWavefronts) {
  Kernel kernel(kernel_text(R"(
  .shared .align 16 .b8 memory[4096];
  mov.u32 %r1, %laneid;
  mul.lo.u32 %r3, %r1, 128;
  mov.u32 %r4, memory;
  add.u32 %r5, %r4, %r3;
  st.shared.u32 [%r5], %r1;)"));
  kernel.shape.block = {32, 1, 1};
  kernel.argument(uint64_t{0});
  kernel.argument(uint64_t{0});
  const clock::LaunchTrace trace = trace_of(kernel);
  const clock::Step& store = trace.ctas[0][0][1];
  ASSERT_EQ(store.kind, StepKind::shared);
  EXPECT_EQ(store.count, 32);
}

/// A pipelined product of TMA copies, mbarriers and wgmma.
clock::LaunchTrace gemm_trace(uint64_t seed) {
  Gemm gemm(read_file(std::string(EMULATOR_KERNELS) + "/gemm.ptx"));
  gemm.kernel.options.seed = seed;
  return trace_of(gemm.kernel);
}

TEST(ClockTrace, OfAPipelineDoesNotDependOnTheSeed) {
  const clock::LaunchTrace first = gemm_trace(1), second = gemm_trace(2);
  ASSERT_EQ(first.ctas[0].size(), 8u);
  for (size_t warp = 0; warp < 8; ++warp) {
    ASSERT_EQ(kinds_of(first.ctas[0][warp]), kinds_of(second.ctas[0][warp])) << "warp " << warp;
  }
  size_t copies = 0, products = 0;
  for (const auto& warp : first.ctas[0]) {
    for (const clock::Step& step : warp) {
      copies += step.kind == StepKind::load_copy ? 1 : 0;
      products += step.kind == StepKind::wgmma ? 1 : 0;
    }
  }
  EXPECT_EQ(copies, 2 * Gemm::kSteps);
  EXPECT_EQ(products, 4 * 4 * Gemm::kSteps) << "four of k 16 a step, each of four warps";
  EXPECT_EQ(first.copies[0].bytes, 64u * 64 * 2);
  EXPECT_EQ(first.copies[0].lines, 64u);
}

TEST(ClockTrace, ReplaysAreTheSameEveryTime) {
  const clock::LaunchTrace trace = gemm_trace(1);
  const auto seconds = [&] {
    clock::Study study({}, 2, true);
    auto replayed = study.replay({&trace});
    EXPECT_TRUE(std::holds_alternative<std::vector<clock::StudiedLaunch>>(replayed));
    return std::get<std::vector<clock::StudiedLaunch>>(replayed)[0].seconds;
  };
  const auto first = seconds();
  EXPECT_EQ(first, seconds());
  EXPECT_LT(first.at("fast")[0], first.at("slow")[0]);
}

TEST(ClockTrace, NeedsNoArithmetic) {
  Gemm gemm(read_file(std::string(EMULATOR_KERNELS) + "/gemm.ptx"));
  gemm.kernel.options.arithmetic = false;
  const clock::LaunchTrace without = trace_of(gemm.kernel), with = gemm_trace(1);
  for (size_t warp = 0; warp < 8; ++warp)
    EXPECT_EQ(kinds_of(with.ctas[0][warp]), kinds_of(without.ctas[0][warp])) << "warp " << warp;
}

}  // namespace
}  // namespace emulator::test
