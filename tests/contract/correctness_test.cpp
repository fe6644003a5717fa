// decode() against the float64 reference, over the contract's table of shapes and masks.
#include "per_backend.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

class Correctness : public PerBackendAndType {
 protected:
  static void expect_accurate(const SceneSpec& spec, int workers = 1) {
    const Scene scene(spec);
    RunOptions with = options();
    with.workers = workers;
    EXPECT_TRUE(is_accurate(scene, run(scene, with), scene.reference()));
  }
};

TEST_P(Correctness, MlaWidths) {
  for (const auto& [d, d_v] : {std::pair{576, 512}, {512, 512}, {320, 256}, {288, 256}}) {
    SCOPED_TRACE(testing::Message() << d << "/" << d_v);
    expect_accurate({.shape = shape({.h_q = 16, .d = d, .d_v = d_v}), .seqlens = {70, 1, 129}});
  }
}

TEST_P(Correctness, AnyWidth) {
  for (const auto& [d, d_v] :
       {std::pair{1, 1}, {2, 1}, {7, 3}, {33, 32}, {65, 64}, {130, 127}, {1024, 1024}, {1023, 5}}) {
    SCOPED_TRACE(testing::Message() << d << "/" << d_v);
    expect_accurate({.shape = shape({.h_q = 3, .d = d, .d_v = d_v}), .seqlens = {37}});
  }
}

TEST_P(Correctness, SeparateValuesOfAnyWidth) {
  for (const auto& [d, d_v] : {std::pair{64, 64}, {128, 128}, {256, 256}, {64, 128}, {100, 37}, {1, 9}, {17, 1024}}) {
    SCOPED_TRACE(testing::Message() << d << "/" << d_v);
    expect_accurate(
        {.shape = shape({.h_q = 8, .h_kv = 2, .d = d, .d_v = d_v, .separate_v = true}), .seqlens = {67, 5}});
  }
}

TEST_P(Correctness, AnyNumberOfHeads) {
  for (const auto& [h_q, h_kv] :
       {std::pair{1, 1}, {3, 1}, {9, 3}, {9, 9}, {16, 2}, {17, 1}, {33, 1}, {63, 1}, {130, 1}}) {
    SCOPED_TRACE(testing::Message() << h_q << " heads over " << h_kv);
    expect_accurate({.shape = shape({.h_q = h_q, .h_kv = h_kv, .d = 96, .d_v = 64}), .seqlens = {50, 3}});
    expect_accurate(
        {.shape = shape({.h_q = h_q, .h_kv = h_kv, .d = 40, .d_v = 24, .separate_v = true}), .seqlens = {50, 3}});
  }
}

TEST_P(Correctness, AnyPageSize) {
  for (const int page_size : {1, 2, 3, 16, 63, 64, 65, 256}) {
    SCOPED_TRACE(testing::Message() << "pages of " << page_size);
    expect_accurate(
        {.shape = shape({.h_q = 4, .d = 64, .d_v = 32, .page_size = page_size}), .seqlens = {1, 64, 130, 257}});
  }
}

TEST_P(Correctness, EveryLengthAroundTheTiles) {
  std::vector<int32_t> lengths;
  for (int border : {0, 16, 64, 128, 192, 256}) {
    for (int near : {-1, 0, 1, 2}) lengths.push_back(std::max(0, border + near));
  }
  expect_accurate({.shape = shape({.h_q = 2, .d = 32, .d_v = 32, .page_size = 16}), .seqlens = lengths});
  expect_accurate({.shape = shape({.h_q = 20, .d = 32, .d_v = 32, .page_size = 16}), .seqlens = lengths});
}

TEST_P(Correctness, CausalQueries) {
  for (const int s_q : {1, 2, 4, 7, 40}) {
    SCOPED_TRACE(testing::Message() << s_q << " queries");
    // Shorter sequences than s_q have rows without keys.
    expect_accurate({.shape = shape({.s_q = s_q, .h_q = 5, .d = 64, .d_v = 64, .page_size = 8}),
                     .seqlens = {150, 40, 3, 0, 1},
                     .mask = {.causal = true}});
  }
}

TEST_P(Correctness, SeveralQueriesThatSeeAllKeys) {
  expect_accurate({.shape = shape({.s_q = 3, .h_q = 6, .h_kv = 2, .d = 48, .d_v = 32}), .seqlens = {100, 2, 0}});
}

TEST_P(Correctness, WindowsAndSinks) {
  for (const bool causal : {false, true}) {
    for (const int window : {1, 5, 64, 1000}) {
      for (const int sinks : {0, 1, 4, 70}) {
        SCOPED_TRACE(testing::Message() << (causal ? "causal, " : "") << window << " after " << sinks);
        expect_accurate({.shape = shape({.s_q = 3, .h_q = 6, .d = 32, .d_v = 16, .page_size = 16}),
                         .seqlens = {200, 66, 7, 2, 0},
                         .mask = {.causal = causal, .window = window, .sinks = sinks}});
      }
    }
  }
}

TEST_P(Correctness, SinksWithoutAWindowHideNothing) {
  const Scene all({.shape = shape({.h_q = 2, .d = 32, .d_v = 32}), .seqlens = {90}});
  const Scene sinks({.shape = shape({.h_q = 2, .d = 32, .d_v = 32}), .seqlens = {90}, .mask = {.sinks = 3}});
  EXPECT_EQ(run(all, options()), run(sinks, options()));
}

TEST_P(Correctness, HugeWindowsAndSinks) {
  expect_accurate({.shape = shape({.s_q = 2, .h_q = 2, .d = 32, .d_v = 32}),
                   .seqlens = {90, 0},
                   .mask = {.causal = true, .window = INT64_MAX, .sinks = INT64_MAX}});
  expect_accurate({.shape = shape({.s_q = 2, .h_q = 2, .d = 32, .d_v = 32}),
                   .seqlens = {90, 0},
                   .mask = {.causal = true, .window = 1, .sinks = INT64_MAX}});
}

TEST_P(Correctness, RaggedQueries) {
  for (const bool causal : {false, true}) {
    expect_accurate({.shape = shape({.h_q = 6, .h_kv = 2, .d = 64, .d_v = 48, .page_size = 16}),
                     .seqlens = {70, 9, 33, 0, 5},
                     .cu_seqlens_q = {0, 1, 5, 5, 7, 28},
                     .mask = {.causal = causal}});
  }
}

TEST_P(Correctness, SequencesWithoutKeys) {
  expect_accurate({.shape = shape({.s_q = 2, .h_q = 17, .d = 64, .d_v = 64}), .seqlens = {0, 20, 0, 0}});
  expect_accurate({.shape = shape({.s_q = 2, .h_q = 17, .d = 64, .d_v = 64}), .seqlens = {0, 0}});
  expect_accurate({.shape = shape({.h_q = 4, .h_kv = 2, .d = 64, .d_v = 64, .separate_v = true}), .seqlens = {0}});
}

TEST_P(Correctness, NoSequencesAndNoQueries) {
  expect_accurate({.shape = shape({.h_q = 4, .d = 64, .d_v = 64}), .seqlens = {}});
  expect_accurate({.shape = shape({.h_q = 4, .d = 64, .d_v = 64}), .seqlens = {5, 7}, .cu_seqlens_q = {0, 0, 0}});
}

TEST_P(Correctness, OutInFloat32) {
  SceneSpec spec{.shape = shape({.h_q = 18, .d = 100, .d_v = 70}), .seqlens = {140, 3}};
  spec.shape.out_dtype = DType::float32;
  expect_accurate(spec);
  expect_accurate(spec, 3);
}

TEST_P(Correctness, WithoutLse) {
  const Scene scene({.shape = shape({.s_q = 2, .h_q = 18, .d = 64, .d_v = 64}), .seqlens = {300, 3}});
  const ReferenceResult reference = scene.reference();
  for (const int workers : {1, 4}) {
    RunOptions with = options();
    with.with_lse = false;
    with.workers = workers;
    EXPECT_TRUE(is_accurate(scene, run(scene, with), reference, false));
  }
}

TEST_P(Correctness, AnyScale) {
  for (const double scale : {0.0, -0.0, -0.1, 0.25, 1e-30, -1e-30}) {
    SCOPED_TRACE(testing::Message() << "scale " << scale);
    expect_accurate({.shape = shape({.s_q = 2, .h_q = 3, .d = 40, .d_v = 24}),
                     .seqlens = {90, 1, 0},
                     .mask = {.causal = true, .window = 30, .sinks = 2},
                     .scale = scale});
  }
}

TEST_P(Correctness, SmallValues) {
  expect_accurate({.shape = shape({.h_q = 16}), .seqlens = {100}, .deviation = 0.1});
}

TEST_P(Correctness, SplitSequences) {
  const SceneSpec mla{
      .shape = shape({.s_q = 2, .h_q = 10, .d = 64, .d_v = 64}), .seqlens = {1000, 0, 20}, .mask = {.causal = true}};
  const SceneSpec grouped{.shape = shape({.s_q = 2, .h_q = 10, .h_kv = 2, .d = 64, .d_v = 40, .separate_v = true}),
                          .seqlens = {700},
                          .mask = {.causal = true, .window = 400, .sinks = 100}};
  for (const SceneSpec& spec : {mla, grouped}) {
    for (const int workers : {3, 8}) {
      SCOPED_TRACE(testing::Message() << workers << " workers");
      RunOptions with = options();
      with.workers = workers;
      EXPECT_GT(make_plan(Scene(spec), with).num_split_units(), 0);
      expect_accurate(spec, workers);
    }
  }
}

TEST_P(Correctness, StridedViews) {
  for (const Spread spread : {Spread::padded, Spread::heads_first}) {
    SCOPED_TRACE(spread == Spread::padded ? "padded" : "heads first");
    expect_accurate(
        {.shape = shape({.s_q = 2, .h_q = 6, .h_kv = 3, .d = 64, .d_v = 48, .page_size = 16, .separate_v = true}),
         .seqlens = {900, 5, 0},
         .mask = {.causal = true},
         .spread = spread},
        3);
    expect_accurate({.shape = shape({.h_q = 12, .h_kv = 3, .d = 80, .d_v = 64, .page_size = 16}),
                     .seqlens = {70, 5, 0, 90},
                     .cu_seqlens_q = {0, 1, 4, 4, 6},
                     .spread = spread},
                    3);
  }
}

FLASH_MLA_PER_BACKEND_AND_TYPE(Correctness);

}  // namespace
}  // namespace flash_mla::test
