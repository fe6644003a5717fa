// NaN and infinities in live memory: how far they reach.
//
// A row that sees such a key gets what the reference gets. A row of another sequence or KV head is not touched, and
// neither is a row that sees no key of the bad key's tile. A row that sees other keys of that tile, but not this one,
// may be NaN or not: every backend multiplies whole tiles, with a weight of 0 where a key is hidden. Tiles are 64 or
// 128 visible keys, so two keys that are 128 or more apart never share one.
#include <cmath>
#include <limits>

#include "per_backend.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kLongestTile = 128;

class LiveAnomaly : public PerBackendAndType {
 protected:
  static SceneSpec grouped() {
    return {.shape = shape({.s_q = 2, .h_q = 6, .h_kv = 3, .d = 64, .d_v = 80, .page_size = 16, .separate_v = true}),
            .seqlens = {70, 200, 65}};
  }

  /// Rows of heads 2 and 3, which share KV head 1, of sequence 1 are as the reference says; all others are as they
  /// were.
  static void expect_only_own_rows(Scene& scene, const Output& clean, int workers) {
    RunOptions with = options();
    with.workers = workers;
    const Output output = run(scene, with);
    EXPECT_TRUE(is_accurate(scene, output, scene.reference()));
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t token = 0; token < 2; ++token) {
        for (int64_t head = 0; head < 6; ++head) {
          if (i == 1 && head / 2 == 1) continue;
          ASSERT_EQ(output.lse.get(i, head, token), clean.lse.get(i, head, token));
          for (int64_t column = 0; column < 80; ++column) {
            ASSERT_EQ(output.out.get(i, token, head, column), clean.out.get(i, token, head, column));
          }
        }
      }
    }
  }
};

TEST_P(LiveAnomaly, InAKeyStaysInItsSequenceAndHead) {
  for (const int workers : {1, 3}) {
    RunOptions with = options();
    with.workers = workers;
    const Output clean = run(Scene(grouped()), with);
    for (const double value : {kNan, kInfinity, -kInfinity}) {
      for (const int64_t key : {0, 63, 64, 130, 199}) {
        SCOPED_TRACE(testing::Message() << value << " in key " << key << ", " << workers << " workers");
        Scene scene(grouped());
        scene.set_key(1, key, 1, 5, value);
        expect_only_own_rows(scene, clean, workers);
      }
    }
  }
}

TEST_P(LiveAnomaly, InAValueStaysInItsColumn) {
  for (const int workers : {1, 3}) {
    RunOptions with = options();
    with.workers = workers;
    const Output clean = run(Scene(grouped()), with);
    for (const double value : {kNan, kInfinity, -kInfinity}) {
      for (const int64_t key : {0, 64, 199}) {
        SCOPED_TRACE(testing::Message() << value << " in value " << key << ", " << workers << " workers");
        Scene scene(grouped());
        scene.set_value(1, key, 1, 5, value);
        expect_only_own_rows(scene, clean, workers);
      }
    }
  }
}

// Backends that round weights make up for it where a key outweighs others: infinity must not meet its negative there.
TEST_P(LiveAnomaly, InfiniteValuesOfKeysThatCount) {
  SceneSpec spec = grouped();
  spec.seqlens = {3, 5, 1};
  for (const double value : {kInfinity, -kInfinity}) {
    for (int64_t sequence = 0; sequence < 3; ++sequence) {
      Scene scene(spec);
      for (int64_t head = 0; head < 3; ++head) scene.set_value(sequence, 0, head, 7, value);
      EXPECT_TRUE(is_accurate(scene, run(scene, options()), scene.reference())) << value << ", sequence " << sequence;
    }
  }
}

TEST_P(LiveAnomaly, AllKeys) {
  for (const double value : {kNan, kInfinity, -kInfinity}) {
    Scene scene(grouped());
    for (int64_t key = 0; key < 200; ++key) scene.set_key(1, key, 1, 5, value);
    EXPECT_TRUE(is_accurate(scene, run(scene, options()), scene.reference())) << value;
  }
}

// Scores of -inf only: as if the row saw no key.
TEST_P(LiveAnomaly, OnlyScoresOfMinusInfinity) {
  SceneSpec spec = grouped();
  spec.scale = 1.0;
  Scene scene(spec);
  for (int64_t token = 0; token < 2; ++token) scene.q.set(1, 1, token, 2, 0), scene.q.set(1, 1, token, 3, 0);
  for (int64_t key = 0; key < 200; ++key) scene.set_key(1, key, 1, 0, -kInfinity);
  const ReferenceResult reference = scene.reference();
  ASSERT_EQ(reference.lse[(1 * 6 + 2) * 2], -kInfinity);
  EXPECT_TRUE(is_accurate(scene, run(scene, options()), reference));
}

TEST_P(LiveAnomaly, InAQueryStaysInItsRow) {
  SceneSpec spec{.shape = shape({.s_q = 2, .h_q = 20, .d = 64, .d_v = 64}), .seqlens = {70, 65}};
  Scene scene(spec);
  const Output clean = run(scene, options());
  for (const double value : {kNan, kInfinity}) {
    scene.q.set(value, 1, 0, 7, 3);
    const Output output = run(scene, options());
    EXPECT_TRUE(is_accurate(scene, output, scene.reference()));
    const std::vector<double> bad = output.out.values(), good = clean.out.values();
    const size_t row = ((1 * 2 + 0) * 20 + 7) * 64;
    for (size_t i = 0; i < bad.size(); ++i) {
      if (i >= row && i < row + 64) continue;
      ASSERT_EQ(bad[i], good[i]) << "element " << i;
    }
  }
}

/// Rows that see the key are not finite; rows that see nothing within a tile of it are as they were.
void expect_only_rows_near(const SceneSpec& spec, const RunOptions& with, int64_t bad_key) {
  const Output clean = run(Scene(spec), with);
  Scene scene(spec);
  scene.set_key(0, bad_key, 0, 5, kNan);
  const Output output = run(scene, with);
  int64_t unaffected = 0, affected = 0;
  for (int64_t token = 0; token < spec.shape.s_q; ++token) {
    bool near = false;
    for (int64_t key = 0; key < spec.seqlens[0]; ++key) {
      near = near || (scene.sees(0, token, key) && std::abs(key - bad_key) < kLongestTile);
    }
    for (int64_t head = 0; head < spec.shape.h_q; ++head) {
      if (scene.sees(0, token, bad_key)) {
        ++affected;
        EXPECT_TRUE(std::isnan(output.out.get(0, token, head, 5))) << "query " << token;
      } else if (!near) {
        ++unaffected;
        EXPECT_EQ(output.lse.get(0, head, token), clean.lse.get(0, head, token)) << "query " << token;
        for (int64_t column = 0; column < spec.shape.d_v; ++column) {
          ASSERT_EQ(output.out.get(0, token, head, column), clean.out.get(0, token, head, column)) << "query " << token;
        }
      }
    }
  }
  EXPECT_GT(affected, 20);
  EXPECT_GT(unaffected, 20);
}

TEST_P(LiveAnomaly, BehindTheDiagonal) {
  for (const int workers : {1, 4}) {
    RunOptions with = options();
    with.workers = workers;
    expect_only_rows_near({.shape = shape({.s_q = 300, .h_q = 1, .d = 32, .d_v = 32, .page_size = 16}),
                           .seqlens = {400},
                           .mask = {.causal = true}},
                          with, 350);
  }
}

TEST_P(LiveAnomaly, BeforeTheWindow) {
  for (const int workers : {1, 4}) {
    RunOptions with = options();
    with.workers = workers;
    expect_only_rows_near({.shape = shape({.s_q = 300, .h_q = 1, .d = 32, .d_v = 32, .page_size = 16}),
                           .seqlens = {330},
                           .mask = {.causal = true, .window = 50}},
                          with, 40);
  }
}

FLASH_MLA_PER_BACKEND_AND_TYPE(LiveAnomaly);

}  // namespace
}  // namespace flash_mla::test
