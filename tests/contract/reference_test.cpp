// The reference itself, against cases whose answers need no attention code.
#include <gtest/gtest.h>

#include <cmath>

#include "support/scene.h"

namespace flash_mla::test {
namespace {

// With a scale of 0 all visible keys weigh the same: lse counts them, and out is their values' mean.
TEST(Reference, CountsVisibleKeys) {
  for (const bool causal : {false, true}) {
    for (const int window : {0, 1, 3, 100}) {
      for (const int sinks : {0, 2, 50}) {
        for (const bool ragged : {false, true}) {
          SceneSpec spec{.shape = {.dtype = DType::float32,
                                   .out_dtype = DType::float32,
                                   .s_q = 4,
                                   .h_q = 2,
                                   .h_kv = 2,
                                   .d = 3,
                                   .d_v = 2,
                                   .page_size = 3,
                                   .separate_v = true},
                         .seqlens = {7, 0, 3, 12},
                         .mask = {.causal = causal, .window = window, .sinks = sinks},
                         .scale = 0.0};
          if (ragged) spec.cu_seqlens_q = {0, 4, 6, 6, 15};
          const Scene scene(spec);
          const ReferenceResult result = scene.reference();
          for (int64_t i = 0; i < 4; ++i) {
            for (int64_t token = 0; token < scene.s_q(i); ++token) {
              for (int64_t head = 0; head < 2; ++head) {
                double keys = 0, sum = 0;
                for (int64_t key = 0; key < spec.seqlens[i]; ++key) {
                  if (!scene.sees(i, token, key)) continue;
                  ++keys;
                  sum += scene.v_cache.get(static_cast<int64_t>(scene.page_table.get(i, key / 3)), key % 3, head, 1);
                }
                const int64_t row = (scene.first_query(i) + token) * 2 + head;
                const int64_t at = ragged ? head * 15 + scene.first_query(i) + token : (i * 2 + head) * 4 + token;
                EXPECT_NEAR(result.out[row * 2 + 1], keys == 0 ? 0 : sum / keys, 1e-12);
                if (keys == 0) {
                  EXPECT_EQ(result.lse[at], -HUGE_VAL);
                } else {
                  EXPECT_NEAR(result.lse[at], std::log(keys), 1e-12);
                }
              }
            }
          }
        }
      }
    }
  }
}

// Two keys along two axes: weights are e^q0 and e^q1.
TEST(Reference, TwoKeysWorkedOutByHand) {
  const float q[] = {1, 3}, k[] = {1, 0, 0, 1};
  const int32_t table[] = {0}, seqlens[] = {2};
  DecodeArgs args;
  args.q = ConstTensor(q, DType::float32, {1, 1, 1, 2});
  args.k_cache = ConstTensor(k, DType::float32, {1, 2, 1, 2});
  args.page_table = ConstTensor(table, DType::int32, {1, 1});
  args.seqlens = ConstTensor(seqlens, DType::int32, {1});
  args.scale = 0.5;
  const ReferenceResult result = reference_decode(args, {}, 2).value();
  const double a = std::exp(0.5), b = std::exp(1.5);
  EXPECT_NEAR(result.out[0], a / (a + b), 1e-15);
  EXPECT_NEAR(result.out[1], b / (a + b), 1e-15);
  EXPECT_NEAR(result.lse[0], std::log(a + b), 1e-15);
  args.scale.reset();  // 2^-0.5
  EXPECT_NEAR(reference_decode(args, {}, 2).value().lse[0],
              std::log(std::exp(1 / std::sqrt(2.0)) + std::exp(3 / std::sqrt(2.0))), 1e-15);
}

// Each head's own KV head: 6 query heads over 3 are pairs.
TEST(Reference, HeadsOfAGroupShareAKeyHead) {
  SceneSpec spec{.shape = {.dtype = DType::float32, .out_dtype = DType::float32, .h_q = 6, .h_kv = 3, .d = 2, .d_v = 2},
                 .seqlens = {1}};
  const Scene scene(spec);
  const ReferenceResult result = scene.reference();
  const auto page = static_cast<int64_t>(scene.page_table.get(0, 0));
  for (int64_t head = 0; head < 6; ++head) EXPECT_EQ(result.out[head * 2], scene.k_cache.get(page, 0, head / 2, 0));
}

TEST(Reference, LargeScoresDoNotOverflow) {
  const float q[] = {1}, k[] = {1000, 999, -1000}, v[] = {1, 2, 3};
  const int32_t table[] = {0}, seqlens[] = {3};
  DecodeArgs args;
  args.q = ConstTensor(q, DType::float32, {1, 1, 1, 1});
  args.k_cache = ConstTensor(k, DType::float32, {1, 3, 1, 1});
  args.v_cache = ConstTensor(v, DType::float32, {1, 3, 1, 1});
  args.page_table = ConstTensor(table, DType::int32, {1, 1});
  args.seqlens = ConstTensor(seqlens, DType::int32, {1});
  const ReferenceResult result = reference_decode(args, {}, 1).value();
  EXPECT_NEAR(result.lse[0], 1000 + std::log(1 + std::exp(-1.0)), 1e-12);
  EXPECT_NEAR(result.out[0], (1 + 2 * std::exp(-1.0)) / (1 + std::exp(-1.0)), 1e-12);
}

}  // namespace
}  // namespace flash_mla::test
