// 64-bit offsets: arrays spread over tens of gigabytes of address space, of which only the touched pages exist.
#include <cstring>

#include "flash_mla/append.h"
#include "flash_mla/merge.h"
#include "per_backend.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

constexpr int64_t kFar = (int64_t{1} << 31) + 64;  // elements

int64_t reach(const ConstTensor& view) {
  int64_t elements = 1;
  for (int axis = 0; axis < view.rank; ++axis) elements += (view.shape[axis] - 1) * view.strides[axis];
  return elements * static_cast<int64_t>(size_of(view.dtype));
}

/// An array like `near`, with the same elements (where `copy`), but with other strides.
struct FarArray {
  SparseMemory memory;
  Tensor view;

  FarArray(const Tensor& near, std::array<int64_t, kMaxRank> strides, bool copy = true)
      : memory(static_cast<size_t>(reach(with_strides(near, strides)))), view(with_strides(near, strides)) {
    view.data = memory.data();
    if (copy && memory.valid())
      each_row(near, [](char* far, char* here, size_t bytes) { std::memcpy(far, here, bytes); });
  }
  /// Back to where it came from.
  void fetch(const Tensor& near) const {
    each_row(near, [](char* far, char* here, size_t bytes) { std::memcpy(here, far, bytes); });
  }

 private:
  static Tensor with_strides(Tensor view, std::array<int64_t, kMaxRank> strides) {
    view.strides = strides;
    return view;
  }
  template <class Copy>
  void each_row(const Tensor& near, Copy copy) const {
    const auto size = static_cast<int64_t>(size_of(view.dtype));
    std::array<int64_t, kMaxRank> extents{1, 1, 1, 1};
    std::copy_n(view.shape.begin(), view.rank, extents.begin());
    for (int64_t i0 = 0; i0 < extents[0]; ++i0) {
      for (int64_t i1 = 0; i1 < extents[1]; ++i1) {
        for (int64_t i2 = 0; i2 < extents[2]; ++i2) {
          for (int64_t i3 = 0; i3 < extents[3]; ++i3) {
            const std::array<int64_t, kMaxRank> at{i0, i1, i2, i3};
            int64_t far = 0, here = 0;
            for (int axis = 0; axis < view.rank; ++axis) {
              far += at[axis] * view.strides[axis];
              here += at[axis] * near.strides[axis];
            }
            copy(static_cast<char*>(view.data) + far * size, static_cast<char*>(near.data) + here * size,
                 static_cast<size_t>(size));
          }
        }
      }
    }
  }
};

#define SKIP_UNLESS_LENT(...)                                                         \
  for (const FarArray* array : {__VA_ARGS__}) {                                       \
    if (!array->memory.valid()) GTEST_SKIP() << "no address space of that size here"; \
  }

class Offsets : public PerBackendAndType {};

TEST_P(Offsets, EveryArrayFarApart) {
  const Scene scene(
      {.shape = shape({.s_q = 2, .h_q = 4, .h_kv = 2, .d = 48, .d_v = 32, .page_size = 16, .separate_v = true}),
       .seqlens = {40, 5},
       .mask = {.causal = true}});
  RunOptions with = options();
  with.workers = 2;
  const Output expected = run(scene, with);
  Output output(scene);
  const FarArray q(scene.q.view(), {kFar, kFar / 2, 100, 1});
  const FarArray k(scene.k_cache.view(), {kFar, 64, 16 * 64, 1}), v(scene.v_cache.view(), {kFar + 8, 32, 16 * 32, 1});
  const FarArray table(scene.page_table.view(), {kFar, 1, 0, 0}), seqlens(scene.seqlens.view(), {kFar, 0, 0, 0});
  const FarArray out(output.out.view(), {kFar, kFar / 2, 64, 1}, false), lse(output.lse.view(), {kFar, 3, 1, 0}, false);
  SKIP_UNLESS_LENT(&q, &k, &v, &table, &seqlens, &out, &lse);

  const Plan plan = make_plan(scene, with);
  const Memory workspace(plan.workspace_size(), Border::poison);
  DecodeArgs args{.q = q.view,
                  .k_cache = k.view,
                  .v_cache = v.view,
                  .page_table = table.view,
                  .seqlens = seqlens.view,
                  .out = out.view,
                  .lse = lse.view};
  args.workspace = workspace.data();
  args.workspace_size = workspace.size();
  const Status status = decode(plan, args);
  ASSERT_TRUE(status.ok()) << status.message();
  out.fetch(output.out.view());
  lse.fetch(output.lse.view());
  EXPECT_EQ(output, expected);
  const ReferenceResult near = scene.reference(), far = reference_decode(args, scene.spec().mask, 32).value();
  EXPECT_EQ(near.out, far.out);
  EXPECT_EQ(near.lse, far.lse);
}

// Pages with high numbers of a dense cache; and a page that is itself longer than 2^31 elements.
TEST_P(Offsets, ManyPagesAndLongPages) {
  const Scene scene({.shape = shape({.h_q = 3, .d = 64, .d_v = 64, .page_size = 16}), .seqlens = {40}, .page_seed = 0});
  const Output expected = run(scene, options());
  const Plan plan = make_plan(scene, options());
  const Memory workspace(plan.workspace_size(), Border::poison);
  for (const bool many_pages : {true, false}) {
    Output output(scene);
    DecodeArgs args = scene.args();
    args.out = output.out.view();
    args.lse = output.lse.view();
    args.workspace = workspace.data();
    args.workspace_size = workspace.size();
    // Three pages, a page of 16 * 64 elements 2^21 + 5 pages apart; or tokens far apart within each page.
    const int64_t gap = (int64_t{1} << 21) + 5;
    const FarArray k(scene.k_cache.view(), many_pages ? std::array<int64_t, 4>{gap * 1024, 64, 64, 1}
                                                      : std::array<int64_t, 4>{64, kFar / 8, 64, 1});
    SKIP_UNLESS_LENT(&k);
    args.k_cache = k.view;
    std::vector<int32_t> table(4, -1);
    if (many_pages) {
      for (int32_t column = 0; column < 3; ++column) table[column] = column * static_cast<int32_t>(gap);
      args.k_cache.shape[0] = 2 * gap + 1;
      args.k_cache.strides[0] = 1024;
      args.page_table = ConstTensor(table.data(), DType::int32, {1, 4});
    }
    const Status status = decode(plan, args);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(output, expected) << (many_pages ? "many pages" : "long pages");
  }
}

FLASH_MLA_PER_BACKEND_AND_TYPE(Offsets);

TEST(AppendOffsets, FarSlots) {
  const Array rows(DType::bfloat16, {2, 1, 8});
  std::memset(rows.view().data, 0x3f, 2 * 8 * 2);
  const Array near(DType::bfloat16, {3, 4, 1, 8});
  const FarArray cache(near.view(), {kFar, 8, 8, 1}, false);
  SKIP_UNLESS_LENT(&cache);
  const std::vector<int64_t> slots = {2 * 4 + 3, 4};
  const ConstTensor slot_mapping(slots.data(), DType::int64, {2});
  ASSERT_TRUE(append({.rows = rows.view(), .slot_mapping = slot_mapping, .k_cache = cache.view}).ok());
  const auto* bits = static_cast<const uint16_t*>(cache.view.data);
  for (int64_t column = 0; column < 8; ++column) {
    EXPECT_EQ(bits[2 * kFar + 3 * 8 + column], 0x3f3f);
    EXPECT_EQ(bits[kFar + column], 0x3f3f);
    EXPECT_EQ(bits[kFar + 8 + column], 0);
  }
}

TEST(MergeOffsets, FarRows) {
  Array out(DType::float32, {2, 2, 3}), lse(DType::float32, {2, 2});
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      lse.set(static_cast<double>(i - j), i, j);
      for (int64_t column = 0; column < 3; ++column) out.set(static_cast<double>(i * 6 + j * 3 + column), i, j, column);
    }
  }
  const FarArray far_out(out.view(), {kFar, 4, 1, 0}), far_lse(lse.view(), {kFar, 1, 0, 0});
  SKIP_UNLESS_LENT(&far_out, &far_lse);
  const Array result(DType::float32, {2, 2, 3}), result_lse(DType::float32, {2, 2});
  const std::vector<PartialResult> parts = {{far_out.view, far_lse.view}};
  ASSERT_TRUE(merge(parts, result.view(), result_lse.view()).ok());
  EXPECT_EQ(result.values(), out.values());
  EXPECT_EQ(result_lse.values(), lse.values());
}

}  // namespace
}  // namespace flash_mla::test
