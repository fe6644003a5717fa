// The parts of `bench`: work, bounds, spreads, ceilings.
#include <gtest/gtest.h>

#include "bench/bench_case.h"
#include "bench/measure.h"
#include "bench/peak_meter.h"
#include "bench/read_meter.h"
#include "bench/roofline.h"
#include "flash_mla/backend.h"

namespace flash_mla::cli {
namespace {

BenchGrid one_case() {
  BenchGrid grid;
  grid.batch = {2};
  grid.s_k = {100};
  grid.h_q = {16};
  grid.s_q = {1};
  grid.lengths = {"uniform"};
  return grid;
}

TEST(Work, IsThatOfTheDesign) {
  const Work work = work_of(make_cases(one_case(), 1).front());
  EXPECT_EQ(work.flop, 2.0 * 2 * 16 * 100 * (576 + 512));
  EXPECT_EQ(work.bytes, 2.0 * 2 * 100 * 576 + 2.0 * 2 * 16 * (576 + 512));
}

TEST(Work, SeparateVIsReadToo) {
  BenchGrid grid = one_case();
  grid.separate_v = true;
  grid.h_kv = 4;
  grid.d = 128;
  grid.d_v = 64;
  grid.dtype = DType::float32;
  const Work work = work_of(make_cases(grid, 1).front());
  EXPECT_EQ(work.flop, 2.0 * 2 * 16 * 100 * (128 + 64));
  EXPECT_EQ(work.bytes, 4.0 * 2 * 100 * 4 * (128 + 64) + 4.0 * 2 * 16 * (128 + 64));
}

TEST(Work, AWindowIsCountedAsItShows) {
  BenchGrid grid = one_case();
  grid.mask = {true, 30, 4};
  EXPECT_EQ(work_of(make_cases(grid, 1).front()).flop, 2.0 * 2 * 16 * 34 * (576 + 512));
}

TEST(BenchCases, AreAllCombinations) {
  BenchGrid grid;
  grid.batch = {1, 2};
  grid.s_k = {64, 128, 256};
  grid.cache = {"cold", "warm"};
  EXPECT_EQ(make_cases(grid, 1).size(), 2U * 3 * grid.h_q.size() * grid.s_q.size() * 2 * 2);
}

TEST(BenchCases, RaggedLengthsVaryAroundTheirMean) {
  BenchGrid grid = one_case();
  grid.batch = {500};
  grid.s_k = {1000};
  grid.lengths = {"ragged"};
  const BenchCase one = make_cases(grid, 1).front();
  EXPECT_NEAR(static_cast<double>(one.tokens()) / 500, 1000, 100);
  EXPECT_NE(one.seqlens[0], one.seqlens[1]);
  EXPECT_EQ(one.seqlens, make_cases(grid, 1).front().seqlens);
}

TEST(Spread, IsMedianAndQuartiles) {
  const Spread spread = spread_of({5, 1, 2, 4, 3});
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.low, 2);
  EXPECT_EQ(spread.high, 4);
  EXPECT_EQ(spread_of({1, 2}).median, 1.5);
  EXPECT_EQ(spread_of({}).median, 0);
}

Roofline known_roofline() {
  Roofline roofline;
  roofline.threads = 2;
  roofline.flop_per_clock = 64;
  roofline.clock_hz = 3e9;
  roofline.single_flops = 190e9;
  roofline.peak_flops = 380e9;
  roofline.bandwidth = 40e9;
  return roofline;
}

TEST(Roofline, TheLargerTimeBounds) {
  const Roofline roofline = known_roofline();
  const RooflineTime compute = bound_time(roofline, 380e9, 20e9);
  EXPECT_EQ(compute.bound, Bound::compute);
  EXPECT_DOUBLE_EQ(compute.seconds, 1);
  const RooflineTime memory = bound_time(roofline, 380e9, 80e9);
  EXPECT_EQ(memory.bound, Bound::memory);
  EXPECT_DOUBLE_EQ(memory.seconds, 2);
}

TEST(Roofline, APeakIsCredibleIfClockAndCoresExplainIt) {
  Roofline roofline = known_roofline();
  EXPECT_NEAR(roofline.peak_fraction(), 380.0 / 384, 1e-12);
  EXPECT_TRUE(roofline.credible());
  roofline.peak_flops = 370e9;  // 96 %
  EXPECT_FALSE(roofline.credible());
  roofline.peak_flops = 400e9;  // 104 %: the clock was disturbed
  EXPECT_FALSE(roofline.credible());
  roofline = known_roofline();
  roofline.peak_flops /= 2;  // two threads on one core: clock and peak of each are half
  roofline.clock_hz /= 2;
  EXPECT_NEAR(roofline.peak_fraction(), 380.0 / 384, 1e-12);
  EXPECT_FALSE(roofline.credible());
  roofline = known_roofline();
  roofline.least_flop_per_clock = 128;  // another process has half of each core
  EXPECT_FALSE(roofline.credible());
  roofline = known_roofline();
  roofline.clock_hz = 0;
  EXPECT_FALSE(roofline.credible());
}

TEST(Probes, EveryUsableBackendHasOne) {
  for (const BackendInfo& info : backends()) {
    if (!info.usable || info.on_cuda) continue;
    const Result<PeakProbe> half = find_probe(info.name, DType::bfloat16);
    const Result<PeakProbe> single = find_probe(info.name, DType::float32);
    ASSERT_TRUE(half.ok()) << half.status().message();
    ASSERT_TRUE(single.ok()) << single.status().message();
    const bool dot = std::string_view(info.name).ends_with("_bf16");
    EXPECT_EQ(half.value().flop_per_iteration > single.value().flop_per_iteration, dot) << info.name;
  }
  EXPECT_FALSE(find_probe("abacus", DType::float32).ok());
}

TEST(Probes, MeasureSomething) {
  for (const BackendInfo& info : backends()) {
    if (!info.usable || info.on_cuda) continue;
    const PeakMeter meter(find_probe(info.name, DType::bfloat16).value(), 1);
    const PeakMeter::Sample sample = meter.measure();
    EXPECT_GT(sample.flops, 1e6) << info.name;
    EXPECT_GT(sample.clock_hz, 1e6) << info.name;
  }
}

TEST(ReadMeter, ReadsSmallAndLargeBuffers) {
  for (int64_t bytes : {int64_t{1}, int64_t{100000}, int64_t{8} << 20}) {
    ReadMeter meter(bytes, 2);
    EXPECT_GT(meter.choose_loop(1), 1e6);
    EXPECT_GT(meter.measure(), 1e6);
  }
}

TEST(MeasureRoofline, NamesItsErrors) {
  EXPECT_EQ(measure_roofline("abacus", DType::bfloat16, 1).status().code(), StatusCode::not_found);
}

}  // namespace
}  // namespace flash_mla::cli
