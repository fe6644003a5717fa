// PlanMode::batch_invariant: a sequence's bits do not depend on the rest of the batch.
#include <algorithm>

#include "per_backend.h"
#include "support/accuracy.h"
#include "support/random.h"

namespace flash_mla::test {
namespace {

struct Member {
  uint64_t name;
  int32_t s_k;
  int32_t s_q;
};

class BatchInvariance : public PerBackendAndType {
 protected:
  static RunOptions options(int workers) {
    RunOptions with = PerBackendAndType::options();
    with.mode = PlanMode::batch_invariant;
    with.workers = workers;
    return with;
  }

  /// A batch of these sequences with ragged queries, or with those of the first where `ragged` is false.
  static Scene scene_of(const std::vector<Member>& members, const DecodeShape& like, bool ragged, Mask mask = {}) {
    SceneSpec spec{.shape = like, .mask = mask};
    spec.shape.s_q = members.front().s_q;
    if (ragged) spec.cu_seqlens_q.push_back(0);
    for (const Member& member : members) {
      spec.names.push_back(member.name);
      spec.seqlens.push_back(member.s_k);
      if (ragged) spec.cu_seqlens_q.push_back(spec.cu_seqlens_q.back() + member.s_q);
    }
    return Scene(spec);
  }

  /// Each member decoded alone is the same as in the batch, in any order and for any number of workers.
  static void expect_invariant(const std::vector<Member>& members, const DecodeShape& like, bool ragged,
                               Mask mask = {}) {
    std::vector<std::vector<std::byte>> alone;
    for (const Member& member : members) {
      const Scene scene = scene_of({member}, like, ragged, mask);
      alone.push_back(bits_of_sequence(scene, run(scene, options(2)), 0));
    }
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const std::vector<int32_t> order = shuffled(static_cast<int64_t>(members.size()), seed);
      std::vector<Member> batch;
      for (const int32_t index : order) batch.push_back(members[index]);
      const Scene scene = scene_of(batch, like, ragged, mask);
      EXPECT_GT(make_plan(scene, options(1)).num_split_units(), 0);
      const Output output = run(scene, options(static_cast<int>(seed) * 2 + 1));
      if (seed == 0) {
        ASSERT_TRUE(is_accurate(scene, output, scene.reference()));
      }
      for (size_t place = 0; place < order.size(); ++place) {
        EXPECT_TRUE(bits_of_sequence(scene, output, static_cast<int64_t>(place)) == alone[order[place]])
            << "sequence " << order[place] << " as number " << place << ", order " << seed;
      }
    }
  }
};

TEST_P(BatchInvariance, DecodeBatches) {
  expect_invariant({{1, 1500, 1}, {2, 3, 1}, {3, 300, 1}, {4, 0, 1}, {5, 64, 1}, {6, 2300, 1}},
                   shape({.h_q = 16, .d = 64, .d_v = 64, .page_size = 16}), false);
}

TEST_P(BatchInvariance, GroupedHeadsAndSeveralQueries) {
  expect_invariant({{1, 5000, 3}, {2, 3, 3}, {3, 300, 3}},
                   shape({.h_q = 18, .h_kv = 3, .d = 40, .d_v = 72, .page_size = 16, .separate_v = true}), false,
                   {.causal = true, .window = 4000, .sinks = 9});
}

TEST_P(BatchInvariance, RaggedQueries) {
  expect_invariant({{1, 1200, 1}, {2, 300, 9}, {3, 700, 2}, {4, 5, 0}, {5, 640, 40}},
                   shape({.h_q = 8, .d = 64, .d_v = 64, .page_size = 16}), true, {.causal = true});
}

FLASH_MLA_PER_BACKEND_AND_TYPE(BatchInvariance);

}  // namespace
}  // namespace flash_mla::test
