// The verifier must pass what is right and catch what is not: each defect below is one that a kernel could have.
#include "replay/verifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "common/bfloat16.h"
#include "replay/random_rows.h"

namespace flash_mla::cli {
namespace {

constexpr int64_t kHeads = 20;
constexpr int64_t kWidth = 96;
constexpr int64_t kValueWidth = 64;
constexpr int64_t kPageSize = 8;
constexpr Mask kMask{true, 0, 0};

/// Three sequences over shuffled pages; out and lse as a correct kernel would leave them.
struct Batch {
  RandomRows query = RandomRows(3 * kHeads, kWidth, 1);
  RandomRows keys = RandomRows(12 * kPageSize, kWidth, 2);
  std::vector<int32_t> page_table = {3, 7, 1, 9, 0, 5, 11, 2, 4, 6, 8, 10};
  std::vector<int32_t> seqlens = {25, 32, 17};
  std::vector<uint16_t> out = std::vector<uint16_t>(3 * kHeads * kValueWidth);
  std::vector<float> lse = std::vector<float>(3 * kHeads);
  DecodeArgs args;

  Batch() {
    args.q = ConstTensor(query.row(0), DType::bfloat16, {3, 1, kHeads, kWidth});
    args.k_cache = ConstTensor(keys.row(0), DType::bfloat16, {12, kPageSize, 1, kWidth});
    args.page_table = ConstTensor(page_table.data(), DType::int32, {3, 4});
    args.seqlens = ConstTensor(seqlens.data(), DType::int32, {3});
    args.out = Tensor(out.data(), DType::bfloat16, {3, 1, kHeads, kValueWidth});
    args.lse = Tensor(lse.data(), DType::float32, {3, kHeads, 1});
    args.scale = 0.1;
    compute();
  }

  void compute() {
    const ReferenceResult result = reference_decode(args, kMask, kValueWidth).value();
    for (size_t i = 0; i < out.size(); ++i) out[i] = to_bfloat16(static_cast<float>(result.out[i]));
    for (size_t i = 0; i < lse.size(); ++i) lse[i] = static_cast<float>(result.lse[i]);
  }

  uint16_t& out_of(int64_t sequence, int64_t head, int64_t column) {
    return out[(sequence * kHeads + head) * kValueWidth + column];
  }
  int64_t misses(int64_t sequence, int64_t first_head) const {
    return verify_sample(args, kMask, sequence, first_head).value().missed_rows;
  }
};

TEST(Verifier, PassesWhatIsRight) {
  const Batch batch;
  for (int64_t sequence = 0; sequence < 3; ++sequence) {
    for (int64_t first_head : {0, 4}) {
      const Errors errors = verify_sample(batch.args, kMask, sequence, first_head).value();
      EXPECT_EQ(errors.missed_rows, 0);
      EXPECT_LT(errors.ratio_to_bar, 0.5);
      EXPECT_GT(errors.out_abs, 0);  // bfloat16 rounds
      EXPECT_LT(errors.out_abs, 0.02);
      EXPECT_LT(errors.out_cos, 5e-6);
      EXPECT_LT(errors.lse_abs, 1e-6);
    }
  }
}

TEST(Verifier, CatchesADroppedToken) {
  Batch batch;
  --batch.seqlens[1];
  batch.compute();
  ++batch.seqlens[1];
  EXPECT_EQ(batch.misses(0, 0), 0);
  EXPECT_GT(batch.misses(1, 0), 0);
}

TEST(Verifier, CatchesAWrongPage) {
  Batch batch;
  std::swap(batch.page_table[5], batch.page_table[0]);
  batch.compute();
  std::swap(batch.page_table[5], batch.page_table[0]);
  EXPECT_GT(batch.misses(1, 4), 0);
}

TEST(Verifier, CatchesZerosNansAndOneWrongElement) {
  Batch zeros;
  std::fill(zeros.out.begin(), zeros.out.end(), uint16_t{0});
  EXPECT_GT(zeros.misses(2, 0), 0);
  Batch nans;
  nans.out_of(2, 6, 63) = 0x7fc0;
  EXPECT_EQ(nans.misses(2, 0), 1);
  EXPECT_EQ(nans.misses(1, 0), 0);
  Batch element;
  element.out_of(0, 19, 10) = to_bfloat16(from_bfloat16(element.out_of(0, 19, 10)) + 0.05f);
  EXPECT_GT(element.misses(0, 4), 0);
  EXPECT_EQ(element.misses(0, 0), 0);  // head 19 is not among the first sixteen
}

TEST(Verifier, CatchesAWrongLse) {
  Batch batch;
  batch.lse[2 * kHeads + 3] += 1e-3f;
  EXPECT_GT(batch.misses(2, 0), 0);
  batch.lse[2 * kHeads + 3] = -std::numeric_limits<float>::infinity();
  EXPECT_GT(batch.misses(2, 0), 0);
}

TEST(Verifier, CatchesATokenThatWasNeverWritten) {
  Batch batch;
  std::vector<uint16_t> keys(batch.keys.row(0), batch.keys.row(0) + 12 * kPageSize * kWidth);
  std::fill_n(keys.begin() + (9 * kPageSize) * kWidth, kWidth, uint16_t{0xffff});  // token 24 of sequence 0
  batch.args.k_cache.data = keys.data();
  batch.compute();  // the kernel, too, sees the NaN
  EXPECT_GT(batch.misses(0, 0), 0);
  EXPECT_EQ(batch.misses(1, 0), 0);
}

TEST(SampleChooser, SpreadsOverTheRunAndOverItsStart) {
  const SampleChooser chooser(40, 1000000, 1);
  const std::vector<int64_t> all = chooser.within(0, 1000000);
  EXPECT_GE(all.size(), 36u);  // a few of the first may coincide
  EXPECT_EQ(all.front(), 0);
  EXPECT_GE(chooser.within(0, 1000).size(), 6u);
  EXPECT_GE(chooser.within(500000, 1000000).size(), 8u);
  EXPECT_EQ(chooser.within(0, 300000).size() + chooser.within(300000, 1000000).size(), all.size());
}

TEST(SampleChooser, FollowsTheSeed) {
  EXPECT_EQ(SampleChooser(40, 1000, 1).within(0, 1000), SampleChooser(40, 1000, 1).within(0, 1000));
  EXPECT_NE(SampleChooser(40, 1000, 1).within(0, 1000), SampleChooser(40, 1000, 2).within(0, 1000));
}

TEST(SampleChooser, ManagesLittle) {
  EXPECT_TRUE(SampleChooser(0, 1000, 1).within(0, 1000).empty());
  EXPECT_EQ(SampleChooser(5, 1, 1).within(0, 1), std::vector<int64_t>{0});
  EXPECT_EQ(SampleChooser(100, 10, 1).within(0, 10).size(), 10u);
}

TEST(SampleChooser, ChoosesLayersAndHeadsThatExist) {
  const SampleChooser chooser(40, 1000, 1);
  std::vector<bool> layers(5);
  for (int64_t token = 0; token < 100; ++token) {
    layers.at(static_cast<size_t>(chooser.layer_of(token, 5))) = true;
    EXPECT_EQ(chooser.first_head_of(token, 16), 0);
    EXPECT_EQ(chooser.first_head_of(token, 8), 0);
    const int64_t first = chooser.first_head_of(token, 128);
    EXPECT_GE(first, 0);
    EXPECT_LE(first, 128 - kVerifiedHeads);
  }
  EXPECT_EQ(layers, std::vector<bool>(5, true));
}

}  // namespace
}  // namespace flash_mla::cli
