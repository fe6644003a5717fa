// What the shipped kernels cost, as the emulator counts it: traffic, bank conflicts, products and waits, against
// figures that follow from the plan.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "device.h"
#include "sm90/params.h"

namespace flash_mla::test {
namespace {

using emulator::machine::Counters;
using emulator::machine::Pieces;
using emulator::machine::Program;

struct Template {
  DType dtype;
  sm90::Widths widths;

  [[nodiscard]] std::string name() const {
    return std::string(dtype == DType::bfloat16 ? "bf16_" : "fp16_") + std::to_string(widths.d) + "_" +
           std::to_string(widths.d_v);
  }
};

std::ostream& operator<<(std::ostream& out, const Template& each) {
  return out << each.name();
}

SceneSpec spec_of(const Template& each, int64_t h_q, std::vector<int32_t> seqlens, int64_t page_size = 64) {
  SceneSpec spec;
  spec.shape.dtype = spec.shape.out_dtype = each.dtype;
  spec.shape.h_q = h_q;
  spec.shape.d = each.widths.d;
  spec.shape.d_v = each.widths.d_v;
  spec.shape.page_size = page_size;
  spec.seqlens = std::move(seqlens);
  return spec;
}

DeviceOutput run(const SceneSpec& spec, const DeviceRun& how = {}) {
  DeviceOutput result = run_on_device(Scene(spec), how);
  EXPECT_TRUE(result.reports.empty()) << result.text();
  return result;
}

class Costs : public testing::TestWithParam<Template> {};

/// Bytes of all boxes that hold a live key, once for every tile of rows. Columns that do not exist cost nothing.
uint64_t box_bytes(const SceneSpec& spec) {
  const int64_t rows = sm90::box_rows(spec.shape.page_size), tiles = (spec.shape.h_q + 63) / 64;
  int64_t boxes = 0;
  for (const int32_t keys : spec.seqlens) boxes += (keys + rows - 1) / rows;
  return static_cast<uint64_t>(tiles * boxes * rows * spec.shape.d * 2);
}

TEST_P(Costs, KeysAreFetchedOnceATileOfRows) {
  for (const SceneSpec& spec : {spec_of(GetParam(), 64, {192}), spec_of(GetParam(), 16, {130, 64, 1, 0}),
                                spec_of(GetParam(), 128, {200}), spec_of(GetParam(), 8, {70, 129}, 16)}) {
    for (const int splits : {1, 2}) {
      EXPECT_EQ(run(spec, {.splits = splits}).decode.fetched_bytes, box_bytes(spec))
          << spec.shape.h_q << " heads, " << splits << " splits";
    }
  }
}

TEST_P(Costs, QueriesAreLoadedOnceAndWholeSectorsAtATime) {
  const SceneSpec spec = spec_of(GetParam(), 64, {64});
  const Counters counters = run(spec, {.parts = 1}).decode;
  const auto queries = static_cast<uint64_t>(64 * spec.shape.d * 2);
  // The unit and its part are read by every thread: 56 bytes and a few.
  EXPECT_GE(counters.global_load_bytes, queries);
  EXPECT_GE(counters.global_load_sectors, queries / 32);
  EXPECT_LE(counters.global_load_sectors, queries / 32 + 1000);
  EXPECT_EQ(counters.global_load_sectors, counters.global_load_ideal_sectors);
}

void expect_no_conflicts(const std::string& kernel, const Counters& counters) {
  const Program& program = shipped_kernels().find(kernel);
  for (size_t i = 0; i < counters.wavefronts.size(); ++i) {
    const Pieces& pieces = counters.wavefronts[i];
    EXPECT_EQ(pieces.touched, pieces.ideal)
        << kernel << ": " << program.where(static_cast<uint32_t>(i)) << ", run " << counters.executions[i] << " times";
  }
}

TEST_P(Costs, NoBankConflicts) {
  for (SceneSpec spec : {spec_of(GetParam(), 64, {192, 33}), spec_of(GetParam(), 2, {70, 129}, 16),
                         spec_of(GetParam(), 5, {70, 129}), spec_of(GetParam(), 10, {70})}) {
    for (const bool masked : {false, true}) {
      if (masked) spec.mask = {true, 70, 5};
      spec.shape.s_q = masked ? 3 : 1;
      const DeviceOutput result = run(spec, {.splits = 2});
      EXPECT_GT(result.decode.shared_wavefronts, 0u);
      expect_no_conflicts(result.decode_kernel, result.decode);
      expect_no_conflicts(result.merge_kernel, result.merge);
    }
  }
}

TEST_P(Costs, ProductsAreThoseOfThePlan) {
  const Template& each = GetParam();
  constexpr uint64_t kTiles = 3 + 1 + 2;
  const auto d = static_cast<uint64_t>(each.widths.d), d_v = static_cast<uint64_t>(each.widths.d_v);
  for (const uint64_t heads : {64, 32, 16, 8}) {
    const Counters counters = run(spec_of(each, static_cast<int64_t>(heads), {192, 1, 65})).decode;
    const uint64_t scores = kTiles * 64 * heads * d, values = 64 * heads * d_v;
    // Of bfloat16 tiles whose weights stand out, the remainders are multiplied too.
    const uint64_t refined = (counters.tensor_macs - scores) / values - kTiles;
    EXPECT_EQ(counters.tensor_macs, scores + (kTiles + refined) * values) << heads;
    EXPECT_LE(refined, each.dtype == DType::bfloat16 ? kTiles : 0) << heads;
    // Of 16 keys each: two groups' for many rows, 64 columns' for few.
    const uint64_t wgmmas_of_values = 4 * (heads == 64 ? 2 : d_v / 64);
    EXPECT_EQ(counters.wgmmas, kTiles * d / 16 + (kTiles + refined) * wgmmas_of_values) << heads;
  }
}

TEST_P(Costs, EvenWeightsAreMultipliedOnceAfterAFewTiles) {
  const Template& each = GetParam();
  if (each.dtype != DType::bfloat16) return;
  constexpr uint64_t kTiles = 10;
  const auto d = static_cast<uint64_t>(each.widths.d), d_v = static_cast<uint64_t>(each.widths.d_v);
  // Nearly equal weights. Many rows: the squares of 64 add up to 1/64, those of the next 64 to less than what they may.
  // Few rows: with 64 keys each weight is 1/64 of the sum, with 128 some are above 1/128, with 192 none is; the tile's
  // own sum is not counted, so that the third may be as the second.
  for (const uint64_t heads : {64, 16}) {
    SceneSpec spec = spec_of(each, static_cast<int64_t>(heads), {64 * kTiles});
    spec.deviation = 0.05;
    const Counters counters = run(spec, {.parts = 1}).decode;
    const uint64_t scores = kTiles * 64 * heads * d, values = 64 * heads * d_v;
    const uint64_t refined = (counters.tensor_macs - scores) / values - kTiles;
    EXPECT_GE(refined, heads == 64 ? 1u : 2u) << heads;
    EXPECT_LE(refined, heads == 64 ? 1u : 3u) << heads;
  }
}

TEST_P(Costs, WaitsOfATile) {
  const Template& each = GetParam();
  if (each.dtype == DType::bfloat16) return;  // how often it multiplies depends on the data
  const Counters three = run(spec_of(each, 64, {192}), {.parts = 1}).decode;
  const Counters four = run(spec_of(each, 64, {256}), {.parts = 1}).decode;
  // Weights taken, weights ready, scores done: a warpgroup each.
  EXPECT_EQ(four.barrier_waits - three.barrier_waits, 3u * 4);
  // Chunks free, for the loading warp; chunks there, for the scores and for the second half of the values.
  const auto chunks = static_cast<uint64_t>(sm90::chunks(each.widths.d));
  const auto own = static_cast<uint64_t>(each.widths.d_v / sm90::kChunkColumns / 2);
  EXPECT_EQ(four.mbarrier_waits - three.mbarrier_waits, chunks + 4 * chunks + 4 * own);
}

TEST_P(Costs, WaitsOfATileOfFewRows) {
  const Template& each = GetParam();
  // Slots are not waited for when they are filled for the first time: that is over by then.
  const Counters eight = run(spec_of(each, 16, {512}), {.parts = 1}).decode;
  const Counters nine = run(spec_of(each, 16, {576}), {.parts = 1}).decode;
  EXPECT_EQ(nine.barrier_waits - eight.barrier_waits, 2u * 4);  // maxima there, weights there
  EXPECT_EQ(nine.mbarrier_waits - eight.mbarrier_waits, 5 * static_cast<uint64_t>(sm90::chunks(each.widths.d)));
}

std::vector<Template> templates() {
  std::vector<Template> all;
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    for (const sm90::Widths& widths : sm90::kWidths) all.push_back({dtype, widths});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Sm90, Costs, testing::ValuesIn(templates()),
                         [](const auto& each) { return each.param.name(); });

}  // namespace
}  // namespace flash_mla::test
