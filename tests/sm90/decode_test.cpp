// The shipped kernels against the float64 reference: every template, mask, tail, split, page size and type.
#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <map>
#include <optional>
#include <ostream>
#include <string>

#include "device.h"
#include "machine/coverage.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

struct Element {
  int64_t sequence, key, head, column;
};

struct Case {
  const char* name;
  SceneSpec scene;
  DeviceRun run;
  std::optional<Element> nan = {};  // of a live key

  [[nodiscard]] Scene make_scene() const {
    Scene made(scene);
    if (nan) made.set_key(nan->sequence, nan->key, nan->head, nan->column, std::numeric_limits<double>::quiet_NaN());
    return made;
  }
};

std::ostream& operator<<(std::ostream& out, const Case& each) {
  return out << each.name;
}

DecodeShape shape(int64_t d, int64_t d_v, DType dtype, int64_t s_q, int64_t h_q, int64_t h_kv = 1,
                  int64_t page_size = 64) {
  DecodeShape result;
  result.dtype = result.out_dtype = dtype;
  result.s_q = s_q;
  result.h_q = h_q;
  result.h_kv = h_kv;
  result.d = d;
  result.d_v = d_v;
  result.page_size = page_size;
  return result;
}

constexpr DType kBf16 = DType::bfloat16, kFp16 = DType::float16;

DecodeShape with_float32_out(DecodeShape shape) {
  shape.out_dtype = DType::float32;
  return shape;
}

const Mask kCausal{.causal = true};

const Case kCases[] = {
    // Templates and types.
    {"bf16_576", {.shape = shape(576, 512, kBf16, 1, 64), .seqlens = {192}}, {.parts = 1}},
    {"bf16_512", {.shape = shape(512, 512, kBf16, 1, 128), .seqlens = {150, 64}}, {}},
    {"bf16_320", {.shape = shape(320, 256, kBf16, 1, 40), .seqlens = {300, 1}}, {}},
    {"bf16_288", {.shape = shape(288, 256, kBf16, 1, 40), .seqlens = {65, 127}}, {}},
    {"fp16_576", {.shape = shape(576, 512, kFp16, 1, 64), .seqlens = {130, 63}}, {}},
    {"fp16_512", {.shape = shape(512, 512, kFp16, 1, 16), .seqlens = {130}}, {.splits = 2}},
    {"fp16_320", {.shape = shape(320, 256, kFp16, 2, 16), .seqlens = {130}, .mask = kCausal}, {.splits = 3}},
    {"fp16_288", {.shape = shape(288, 256, kFp16, 1, 16), .seqlens = {64, 130}}, {}},
    {"float32_out", {.shape = with_float32_out(shape(576, 512, kBf16, 1, 16)), .seqlens = {100, 64}}, {}},
    {"float32_out_split", {.shape = with_float32_out(shape(288, 256, kFp16, 1, 16)), .seqlens = {200}}, {.splits = 2}},
    {"small_values",
     {.shape = shape(576, 512, kBf16, 1, 128), .seqlens = {260}, .scale = 1, .deviation = 0.1},
     {.splits = 2}},
    {"negative_scale", {.shape = shape(288, 256, kBf16, 1, 3), .seqlens = {80}, .scale = -0.05}, {}},
    {"large_scores", {.shape = shape(288, 256, kBf16, 1, 3), .seqlens = {130}, .scale = 0.7}, {}},
    // Lengths: none, one, all around tiles; rows that see nothing.
    {"lengths",
     {.shape = shape(288, 256, kBf16, 1, 5), .seqlens = {0, 1, 2, 63, 64, 65, 127, 128, 129, 191}},
     {.parts = 3}},
    {"more_queries_than_keys",
     {.shape = shape(288, 256, kBf16, 5, 7), .seqlens = {3, 0, 66}, .mask = kCausal},
     {.splits = 2}},
    {"no_sequence_has_keys", {.shape = shape(288, 256, kBf16, 1, 7), .seqlens = {0, 0}}, {.splits = 3}},
    {"more_splits_than_tiles",
     {.shape = shape(576, 512, kBf16, 1, 16), .seqlens = {70, 300}},
     {.parts = 5, .splits = 7}},
    {"splits_within_tiles",
     {.shape = shape(288, 256, kBf16, 1, 16), .seqlens = {150, 99}},
     {.parts = 3, .splits = 4, .quantum = 16}},
    // Rows: heads and tokens fold into tiles of 64.
    {"rows_1", {.shape = shape(576, 512, kBf16, 1, 1), .seqlens = {90}}, {}},
    {"rows_65", {.shape = shape(288, 256, kBf16, 1, 65), .seqlens = {90}}, {}},
    {"rows_126_causal", {.shape = shape(288, 256, kBf16, 2, 63), .seqlens = {130}, .mask = kCausal}, {}},
    {"rows_9_tokens_16", {.shape = shape(288, 256, kBf16, 16, 9), .seqlens = {80, 20}, .mask = kCausal}, {.splits = 2}},
    {"kv_heads", {.shape = shape(288, 256, kBf16, 3, 12, 3), .seqlens = {70, 130}, .mask = kCausal}, {.splits = 2}},
    {"ragged",
     {.shape = shape(576, 512, kBf16, 0, 16),
      .seqlens = {70, 10, 130, 5},
      .cu_seqlens_q = {0, 3, 3, 8, 9},
      .mask = kCausal},
     {.splits = 2}},
    // Masks.
    {"window", {.shape = shape(288, 256, kBf16, 2, 8), .seqlens = {300, 90}, .mask = {true, 70, 0}}, {}},
    {"window_not_causal", {.shape = shape(288, 256, kBf16, 2, 8), .seqlens = {300}, .mask = {false, 64, 0}}, {}},
    {"window_of_one", {.shape = shape(288, 256, kBf16, 4, 8), .seqlens = {129}, .mask = {true, 1, 0}}, {}},
    {"sinks", {.shape = shape(288, 256, kBf16, 3, 8), .seqlens = {300, 100}, .mask = {true, 70, 5}}, {.splits = 2}},
    {"sinks_in_the_window_tile",
     {.shape = shape(288, 256, kBf16, 3, 8), .seqlens = {300, 60}, .mask = {true, 250, 20}},
     {.splits = 3, .quantum = 16}},
    // Pages.
    {"page_128", {.shape = shape(288, 256, kBf16, 1, 8, 1, 128), .seqlens = {300, 100}}, {}},
    {"page_96", {.shape = shape(288, 256, kBf16, 1, 8, 1, 96), .seqlens = {300, 100}}, {.splits = 2}},
    {"page_32", {.shape = shape(576, 512, kBf16, 1, 8, 1, 32), .seqlens = {100, 64, 33}}, {}},
    {"page_16_window", {.shape = shape(288, 256, kBf16, 2, 8, 1, 16), .seqlens = {150}, .mask = {true, 40, 3}}, {}},
    {"page_8", {.shape = shape(288, 256, kBf16, 1, 8, 2, 8), .seqlens = {100, 7}}, {}},
    {"pages_in_order", {.shape = shape(576, 512, kBf16, 1, 8), .seqlens = {200}, .page_seed = 0}, {}},
    // What no tensor map fits: rows are gathered.
    {"page_1", {.shape = shape(576, 512, kBf16, 1, 8, 1, 1), .seqlens = {130, 0, 3}}, {.splits = 2}},
    {"page_12_sinks",
     {.shape = shape(288, 256, kBf16, 3, 8, 2, 12), .seqlens = {300, 100}, .mask = {true, 70, 5}},
     {.splits = 2}},
    {"page_100", {.shape = shape(320, 256, kFp16, 1, 8, 1, 100), .seqlens = {300, 100}}, {.parts = 1}},
    {"gathered_64", {.shape = shape(512, 512, kBf16, 1, 70), .seqlens = {200, 31}}, {.gathers = true}},
    {"gathered_many_units",
     {.shape = shape(288, 256, kBf16, 2, 8, 2, 7), .seqlens = {300, 64, 0, 1, 128}, .mask = kCausal},
     {.parts = 1, .splits = 3}},
    {"unaligned",
     {.shape = shape(576, 512, kBf16, 1, 8, 2), .seqlens = {150, 64}, .spread = Spread::padded},
     {.splits = 2}},
    {"unaligned_page_5",
     {.shape = shape(288, 256, kFp16, 2, 8, 1, 5), .seqlens = {150}, .mask = {true, 40, 3}, .spread = Spread::padded},
     {}},
    {"cut_cache",
     {.shape = shape(288, 256, kBf16, 1, 8, 1, 20), .seqlens = {150}, .page_seed = 0, .cut_cache = true},
     {}},
    // Strides.
    {"heads_first",
     {.shape = shape(288, 256, kBf16, 2, 12, 2), .seqlens = {70, 130}, .mask = kCausal, .spread = Spread::heads_first},
     {.splits = 2}},
    {"heads_first_ragged",
     {.shape = shape(288, 256, kFp16, 0, 12, 2),
      .seqlens = {70, 130},
      .cu_seqlens_q = {0, 1, 4},
      .mask = kCausal,
      .spread = Spread::heads_first},
     {}},
    {"unaligned_float32",
     {.shape = with_float32_out(shape(288, 256, kBf16, 1, 8)), .seqlens = {130}, .spread = Spread::padded},
     {}},
    {"unaligned_float32_split",
     {.shape = with_float32_out(shape(320, 256, kFp16, 1, 8)), .seqlens = {130}, .spread = Spread::padded},
     {.splits = 2}},
    // Without lse.
    {"without_lse", {.shape = shape(288, 256, kBf16, 1, 8), .seqlens = {130, 20}}, {.with_lse = false}},
    {"without_lse_split", {.shape = shape(288, 256, kBf16, 1, 8), .seqlens = {130}}, {.splits = 2, .with_lse = false}},
    // NaN in a key that the last token alone sees, in a tile of its own.
    {"nan_bf16",
     {.shape = shape(288, 256, kBf16, 2, 8), .seqlens = {130, 65}, .mask = kCausal},
     {.splits = 2},
     Element{1, 64, 0, 20}},
    {"nan_fp16",
     {.shape = shape(576, 512, kFp16, 2, 8), .seqlens = {129}, .mask = kCausal},
     {},
     Element{0, 128, 0, 500}},
    {"nan_in_the_window",
     {.shape = shape(512, 512, kBf16, 3, 8), .seqlens = {130}, .mask = {true, 66, 3}},
     {},
     Element{0, 62, 0, 7}},
};

class Decode : public testing::TestWithParam<Case> {};

TEST_P(Decode, IsAccurateAndCleanOverSeeds) {
  const Case& each = GetParam();
  const Scene scene = each.make_scene();
  const ReferenceResult reference = scene.reference();
  for (const Path path : {Path::shipped, Path::many_rows}) {
    if (path == Path::many_rows && !has_few_rows(scene)) continue;
    SCOPED_TRACE(path == Path::shipped ? "what the shape leads to" : "the kernel for many rows");
    std::optional<Output> first;
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      DeviceRun how = each.run;
      how.seed = seed;
      how.path = path;
      DeviceOutput result = run_on_device(scene, how);
      ASSERT_TRUE(result.reports.empty()) << "seed " << seed << ":\n" << result.text();
      if (!first) {
        EXPECT_TRUE(is_accurate(scene, result.output, reference, how.with_lse));
        first.emplace(std::move(result.output));
      } else {
        EXPECT_TRUE(*first == result.output) << "other bits with seed " << seed;
      }
    }
  }
}

/// Every kernel for few rows: types, widths, and rows that fill its tile or are just too many for the one below.
TEST(FewRows, EveryKernelIsAccurateAndClean) {
  constexpr std::pair<int64_t, int64_t> kWidths[] = {{576, 512}, {512, 512}, {320, 256}, {288, 256}};
  for (const auto& [d, d_v] : kWidths) {
    for (const DType dtype : {kBf16, kFp16}) {
      for (const int64_t heads : {8, 9, 16, 17, 32}) {
        SCOPED_TRACE(testing::Message() << d << "/" << d_v << ", " << name_of(dtype) << ", " << heads << " heads");
        // One CTA, which goes round the slots of keys several times.
        const Scene scene({.shape = shape(d, d_v, dtype, 1, heads), .seqlens = {70, 420, 130}});
        ASSERT_TRUE(has_few_rows(scene));
        const ReferenceResult reference = scene.reference();
        std::optional<Output> first;
        for (uint64_t seed = 1; seed <= 3; ++seed) {
          DeviceOutput result = run_on_device(scene, {.parts = 1, .splits = heads == 16 ? 3 : 1, .seed = seed});
          ASSERT_TRUE(result.reports.empty()) << "seed " << seed << ":\n" << result.text();
          if (!first) {
            EXPECT_TRUE(is_accurate(scene, result.output, reference));
            first.emplace(std::move(result.output));
          } else {
            EXPECT_TRUE(*first == result.output) << "other bits with seed " << seed;
          }
        }
      }
    }
  }
}

/// What the cases run of the kernels, as counted by kernel.
std::map<std::string, emulator::machine::Counters> counted() {
  std::map<std::string, emulator::machine::Counters> kernels;
  for (const Case& each : kCases) {
    for (const Path path : {Path::shipped, Path::many_rows}) {
      const Scene scene = each.make_scene();
      if (path == Path::many_rows && !has_few_rows(scene)) continue;
      DeviceRun how = each.run;
      how.path = path;
      const DeviceOutput result = run_on_device(scene, how);
      kernels[result.decode_kernel].add(result.decode);
      if (!result.merge_kernel.empty()) kernels[result.merge_kernel].add(result.merge);
    }
  }
  return kernels;
}

/// "src/sm90/decode.cuh:12" for a path that a compiler gave.
std::string name_of(const emulator::machine::Coverage::Line& line) {
  const size_t root = line.first.rfind("/src/");
  return (root == std::string::npos ? line.first : line.first.substr(root + 1)) + ":" + std::to_string(line.second);
}

TEST(Coverage, CasesRunNearlyAllLinesOfTheKernels) {
  constexpr double kLeast = 0.98;
  emulator::machine::Coverage coverage;
  const auto kernels = counted();
  for (const auto& [name, counters] : kernels) coverage.add(shipped_kernels().find(name), counters.executions);
  std::string missing;
  for (const auto& line : coverage.lines_not_run()) missing += " " + name_of(line);
  const auto [ran, all] = coverage.lines();
  EXPECT_GT(all, 200u) << "compiled without -lineinfo?";
  EXPECT_GE(static_cast<double>(ran), kLeast * static_cast<double>(all)) << "not run:" << missing;
  std::printf("%zu of %zu source lines; not run:%s\n", static_cast<size_t>(ran), static_cast<size_t>(all),
              missing.empty() ? " none" : missing.c_str());
}

INSTANTIATE_TEST_SUITE_P(Sm90, Decode, testing::ValuesIn(kCases),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace flash_mla::test
