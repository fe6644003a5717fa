// append(): new rows into the pages of a cache.
#include "flash_mla/append.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "flash_mla/kv_cache.h"
#include "support/accuracy.h"
#include "support/random.h"
#include "support/run.h"

namespace flash_mla::test {
namespace {

constexpr int64_t kPages = 5, kPageSize = 3, kHeads = 2, kWidth = 11, kValueWidth = 6;

/// Bits of every kind, NaN with payloads included.
void fill(Array& array, uint64_t seed) {
  const Tensor& view = array.view();
  const auto size = static_cast<int64_t>(size_of(view.dtype));
  for (int64_t i = 0; i < view.shape[0]; ++i) {
    for (int64_t j = 0; j < view.shape[1]; ++j) {
      for (int64_t byte = 0; byte < view.shape[2] * size; ++byte) {
        auto* row = static_cast<unsigned char*>(view.data) + (i * view.strides[0] + j * view.strides[1]) * size;
        row[byte] = static_cast<unsigned char>(mix(seed, static_cast<uint64_t>(i), j, byte));
      }
    }
  }
}

/// The bytes of one token's row of one head, from column `first`.
std::vector<std::byte> row_of(const Tensor& view, int64_t offset, int64_t columns) {
  const auto size = static_cast<int64_t>(size_of(view.dtype));
  const auto* at = static_cast<const std::byte*>(view.data) + offset * size;
  return {at, at + columns * size};
}
std::vector<std::byte> source_row(const Array& rows, int64_t token, int64_t head) {
  const Tensor& view = rows.view();
  return row_of(view, token * view.strides[0] + head * view.strides[1], view.shape[2]);
}
std::vector<std::byte> cached_row(const Array& cache, int64_t slot, int64_t head, int64_t first, int64_t columns) {
  const Tensor& view = cache.view();
  return row_of(
      view, slot / kPageSize * view.strides[0] + slot % kPageSize * view.strides[1] + head * view.strides[2] + first,
      columns);
}

ConstTensor slots_view(const std::vector<int64_t>& slots) {
  return {slots.data(), DType::int64, {static_cast<int64_t>(slots.size())}};
}

class Append : public testing::TestWithParam<std::tuple<DType, bool>> {
 protected:
  static DType dtype() { return std::get<0>(GetParam()); }
  static Layout rows_layout() {
    return strided() ? Layout{.order = {1, 0, 2}, .slack = {1, 2, 3}, .offset = 1} : Layout{};
  }
  static Layout cache_layout() {
    return strided() ? Layout{.order = {0, 2, 1, 3}, .slack = {2, 1, 3, 1}, .offset = 1} : Layout{};
  }
  static Array make_rows(int64_t tokens, int64_t width, uint64_t seed) {
    Array rows(dtype(), {tokens, kHeads, width}, rows_layout());
    fill(rows, seed);
    return rows;
  }
  static Array make_cache(int64_t width) { return {dtype(), {kPages, kPageSize, kHeads, width}, cache_layout()}; }

  /// Slots that `slots` does not name are as they were made.
  static void expect_others_untouched(const Array& cache, const std::vector<int64_t>& slots) {
    const Array fresh(dtype(), {1, 1, 1, kWidth});
    for (int64_t slot = 0; slot < kPages * kPageSize; ++slot) {
      if (std::ranges::find(slots, slot) != slots.end()) continue;
      for (int64_t head = 0; head < kHeads; ++head) {
        const int64_t columns = cache.view().shape[3];
        EXPECT_EQ(cached_row(cache, slot, head, 0, columns), row_of(fresh.view(), 0, columns)) << "slot " << slot;
      }
    }
    EXPECT_TRUE(cache.surroundings_intact());
  }

 private:
  static bool strided() { return std::get<1>(GetParam()); }
};

TEST_P(Append, CopiesRowsBitByBit) {
  const std::vector<int64_t> slots = {14, 0, 7, 8};
  const Array rows = make_rows(4, kWidth, 1);
  const Array cache = make_cache(kWidth);
  const Status status = append({.rows = rows.view(), .slot_mapping = slots_view(slots), .k_cache = cache.view()});
  ASSERT_TRUE(status.ok()) << status.message();
  for (int64_t token = 0; token < 4; ++token) {
    for (int64_t head = 0; head < kHeads; ++head) {
      EXPECT_EQ(cached_row(cache, slots[token], head, 0, kWidth), source_row(rows, token, head));
    }
  }
  expect_others_untouched(cache, slots);
}

TEST_P(Append, LatentAndRopeApart) {
  const std::vector<int64_t> slots = {3, 12};
  for (const int64_t rope_width : {int64_t{0}, int64_t{1}, int64_t{4}, kWidth}) {
    const Array latent = make_rows(2, kWidth - rope_width, 1), rope = make_rows(2, rope_width, 2);
    const Array cache = make_cache(kWidth);
    const Status status = append(
        {.rows = latent.view(), .rope = rope.view(), .slot_mapping = slots_view(slots), .k_cache = cache.view()});
    ASSERT_TRUE(status.ok()) << status.message();
    for (int64_t token = 0; token < 2; ++token) {
      for (int64_t head = 0; head < kHeads; ++head) {
        EXPECT_EQ(cached_row(cache, slots[token], head, 0, kWidth - rope_width), source_row(latent, token, head));
        EXPECT_EQ(cached_row(cache, slots[token], head, kWidth - rope_width, rope_width),
                  source_row(rope, token, head));
      }
    }
    expect_others_untouched(cache, slots);
  }
}

TEST_P(Append, ViewsOfNothingMayBeNull) {
  const std::vector<int64_t> slots = {3, 12};
  const Array rows = make_rows(2, kWidth, 1), cache = make_cache(kWidth);
  const ConstTensor no_rope(nullptr, dtype(), {2, kHeads, 0});
  ASSERT_TRUE(
      append({.rows = rows.view(), .rope = no_rope, .slot_mapping = slots_view(slots), .k_cache = cache.view()}).ok());
  EXPECT_EQ(cached_row(cache, 12, 1, 0, kWidth), source_row(rows, 1, 1));
  const ConstTensor no_rows(nullptr, dtype(), {0, kHeads, kWidth}), no_slots(nullptr, DType::int64, {0});
  ASSERT_TRUE(append({.rows = no_rows, .slot_mapping = no_slots, .k_cache = cache.view()}).ok());
}

TEST_P(Append, SeparateValues) {
  const std::vector<int64_t> slots = {9, 1, 2};
  const Array rows = make_rows(3, kWidth, 1), v_rows = make_rows(3, kValueWidth, 2);
  const Array cache = make_cache(kWidth), v_cache = make_cache(kValueWidth);
  const Status status = append({.rows = rows.view(),
                                .v_rows = v_rows.view(),
                                .slot_mapping = slots_view(slots),
                                .k_cache = cache.view(),
                                .v_cache = v_cache.view()});
  ASSERT_TRUE(status.ok()) << status.message();
  for (int64_t token = 0; token < 3; ++token) {
    for (int64_t head = 0; head < kHeads; ++head) {
      EXPECT_EQ(cached_row(cache, slots[token], head, 0, kWidth), source_row(rows, token, head));
      EXPECT_EQ(cached_row(v_cache, slots[token], head, 0, kValueWidth), source_row(v_rows, token, head));
    }
  }
  expect_others_untouched(cache, slots);
  expect_others_untouched(v_cache, slots);
}

TEST_P(Append, MinusOneSkipsTheToken) {
  const std::vector<int64_t> slots = {-1, 6, -1, -1};
  const Array rows = make_rows(4, kWidth, 1), v_rows = make_rows(4, kValueWidth, 2);
  const Array cache = make_cache(kWidth), v_cache = make_cache(kValueWidth);
  ASSERT_TRUE(append({.rows = rows.view(),
                      .v_rows = v_rows.view(),
                      .slot_mapping = slots_view(slots),
                      .k_cache = cache.view(),
                      .v_cache = v_cache.view()})
                  .ok());
  EXPECT_EQ(cached_row(cache, 6, 1, 0, kWidth), source_row(rows, 1, 1));
  EXPECT_EQ(cached_row(v_cache, 6, 1, 0, kValueWidth), source_row(v_rows, 1, 1));
  expect_others_untouched(cache, slots);
  expect_others_untouched(v_cache, slots);
}

TEST_P(Append, NoTokens) {
  const Array rows = make_rows(0, kWidth, 1), cache = make_cache(kWidth);
  ASSERT_TRUE(append({.rows = rows.view(), .slot_mapping = slots_view({}), .k_cache = cache.view()}).ok());
  EXPECT_TRUE(cache.untouched());
}

TEST_P(Append, StridedSlots) {
  const std::vector<int64_t> spread = {4, -77, 2, -77, 10};
  const Array rows = make_rows(3, kWidth, 1), cache = make_cache(kWidth);
  ConstTensor slots(spread.data(), DType::int64, {3});
  slots.strides[0] = 2;
  ASSERT_TRUE(append({.rows = rows.view(), .slot_mapping = slots, .k_cache = cache.view()}).ok());
  EXPECT_EQ(cached_row(cache, 2, 0, 0, kWidth), source_row(rows, 1, 0));
  expect_others_untouched(cache, {4, 2, 10});
}

INSTANTIATE_TEST_SUITE_P(
    Forms, Append, testing::Combine(testing::Values(DType::float32, DType::bfloat16, DType::float16), testing::Bool()),
    [](const auto& of) {
      return std::string(name_of(std::get<0>(of.param))) + (std::get<1>(of.param) ? "_strided" : "_dense");
    });

// Token by token into a cache that KvCache manages, then decoded: the same bits as from a cache filled at once.
TEST(AppendThenDecode, GivesWhatAFilledCacheGives) {
  const Scene scene({.shape = {.h_q = 4, .d = 64, .d_v = 48, .page_size = 16}, .seqlens = {50, 7, 33}});
  const DecodeShape& shape = scene.spec().shape;
  KvCache pages = KvCache::make({12, 16, 3, 64}).value();
  const Array cache(shape.dtype, {12, 16, 1, shape.d});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pages.add_sequence().ok());
  for (int32_t token = 0; token < 50; ++token) {
    std::vector<int64_t> slots;
    Array rows(shape.dtype, {3, 1, shape.d});
    for (int64_t i = 0; i < 3; ++i) {
      slots.push_back(-1);
      if (token >= scene.spec().seqlens[i]) continue;
      ASSERT_TRUE(pages.append_tokens(i, std::span(slots).last(1)).ok());
      const auto page = static_cast<int64_t>(scene.page_table.get(i, token / 16));
      for (int64_t column = 0; column < shape.d; ++column) {
        rows.set(scene.k_cache.get(page, token % 16, 0, column), i, 0, column);
      }
    }
    ASSERT_TRUE(append({.rows = rows.view(), .slot_mapping = slots_view(slots), .k_cache = cache.view()}).ok());
  }
  for (const std::string& backend : usable_backends()) {
    const Plan plan = make_plan(scene, {.backend = backend});
    const Memory workspace(plan.workspace_size(), Border::poison);
    Output output(scene);
    DecodeArgs args = scene.args();
    args.k_cache = cache.view();
    args.page_table = pages.page_table();
    args.seqlens = pages.seqlens();
    args.out = output.out.view();
    args.lse = output.lse.view();
    args.workspace = workspace.data();
    args.workspace_size = workspace.size();
    const Status status = decode(plan, args);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(output, run(scene, {.backend = backend}));
  }
}

}  // namespace
}  // namespace flash_mla::test
