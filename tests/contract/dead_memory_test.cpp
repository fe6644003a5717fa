// What no query sees may hold anything, and never reaches out: rows past a sequence's length, keys outside all windows,
// pages that nobody owns, entries of the page table that nobody needs. (The other suites' scenes hold NaN there.)
#include <limits>

#include "per_backend.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

class DeadMemory : public PerBackendAndType {
 protected:
  static void expect_no_influence(const SceneSpec& spec) {
    RunOptions with = options();
    with.workers = 2;
    Scene scene(spec);
    const Output first = run(scene, with);
    ASSERT_TRUE(is_accurate(scene, first, scene.reference()));
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    for (const double value : {0.0, 1e4, kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN()}) {
      for (const int32_t entry : {0, -1, INT32_MAX, INT32_MIN}) {
        scene.fill_dead(value, entry);
        ASSERT_EQ(run(scene, with), first) << value << ", " << entry;
      }
    }
  }
};

TEST_P(DeadMemory, RowsPastTheLength) {
  expect_no_influence({.shape = shape({.h_q = 17, .h_kv = 1, .d = 65, .d_v = 65}), .seqlens = {1, 63, 0, 130}});
  expect_no_influence(
      {.shape = shape({.h_q = 4, .h_kv = 2, .d = 40, .d_v = 72, .separate_v = true}), .seqlens = {1, 63, 0, 130}});
}

TEST_P(DeadMemory, KeysThatNoQuerySees) {
  for (const bool causal : {false, true}) {
    expect_no_influence({.shape = shape({.s_q = 3, .h_q = 4, .d = 32, .d_v = 32, .page_size = 4}),
                         .seqlens = {300, 2, 21},
                         .mask = {.causal = causal, .window = 30, .sinks = 3}});
  }
}

TEST_P(DeadMemory, SequencesWithoutQueries) {
  expect_no_influence({.shape = shape({.h_q = 4, .d = 32, .d_v = 32, .page_size = 4}),
                       .seqlens = {30, 20, 10},
                       .cu_seqlens_q = {0, 2, 2, 3}});
}

TEST_P(DeadMemory, CausalQueriesBeforeTheFirstKey) {
  expect_no_influence({.shape = shape({.s_q = 9, .h_q = 4, .d = 32, .d_v = 32, .page_size = 2}),
                       .seqlens = {4, 0},
                       .mask = {.causal = true, .window = 1}});
}

FLASH_MLA_PER_BACKEND_AND_TYPE(DeadMemory);

}  // namespace
}  // namespace flash_mla::test
