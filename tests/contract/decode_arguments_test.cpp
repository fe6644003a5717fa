// What decode() and reference_decode() refuse besides tensors that are wrong by themselves: shapes that make no sense
// together, contents that address memory, scale, workspace and executor.
#include <cmath>
#include <functional>
#include <limits>
#include <sstream>

#include "decode_call.h"
#include "refusal.h"

namespace flash_mla::test {
namespace {

/// Both refuse the call that `spoil` makes of a good one.
void expect_both_refuse(const SceneSpec& spec, const std::function<void(DecodeCall&)>& spoil,
                        const std::string& message) {
  DecodeCall call(spec);
  spoil(call);
  EXPECT_TRUE(is_refused(decode(call.plan, call.args), message));
  EXPECT_TRUE(is_refused(reference_decode(call.args, spec.mask, spec.shape.d_v).status(), message));
  EXPECT_TRUE(call.output.untouched());
}

/// Only decode() does.
void expect_refused(const std::function<void(DecodeCall&)>& spoil, const std::string& message) {
  DecodeCall call(small_call(false, false));
  spoil(call);
  EXPECT_TRUE(is_refused(decode(call.plan, call.args), message));
  EXPECT_TRUE(call.output.untouched());
}

TEST(DecodeArguments, Extents) {
  const SceneSpec uniform = small_call(false, false), ragged = small_call(true, false);
  const auto q_axis = [](int axis, int64_t extent) {
    return [axis, extent](DecodeCall& call) { call.args.q.shape[axis] = extent; };
  };
  const auto k_axis = [](int axis, int64_t extent) {
    return [axis, extent](DecodeCall& call) { call.args.k_cache.shape[axis] = extent; };
  };
  expect_both_refuse(uniform, q_axis(1, 0), "s_q = 0; expected 1 to 2^31 - 1");
  expect_both_refuse(uniform, q_axis(2, 0), "h_q = 0; expected 1 to 2^31 - 1");
  expect_both_refuse(ragged, q_axis(1, 0), "h_q = 0; expected 1 to 2^31 - 1");
  expect_both_refuse(uniform, q_axis(2, 5), "h_q = 5; expected a multiple of h_kv = 3");
  expect_both_refuse(uniform, q_axis(2, 1), "h_q = 1; expected a multiple of h_kv = 3");
  expect_both_refuse(uniform, q_axis(3, 15),
                     "k_cache has shape [8, 4, 3, 16]; expected [num_pages, page_size, h_kv, d] = [any, any, any, 15]");
  expect_both_refuse(ragged, q_axis(2, 15),
                     "k_cache has shape [8, 4, 3, 16]; expected [num_pages, page_size, h_kv, d] = [any, any, any, 15]");
  expect_both_refuse(uniform, k_axis(1, 0), "page_size = 0; expected 1 or more");
  expect_both_refuse(uniform, k_axis(2, 0), "h_kv = 0; expected 1 or more");
  expect_both_refuse(uniform, k_axis(2, 4), "h_q = 6; expected a multiple of h_kv = 4");
  for (const int64_t d : {0, 1025}) {
    expect_both_refuse(
        uniform, [d](DecodeCall& call) { call.args.q.shape[3] = call.args.k_cache.shape[3] = d; },
        "d = " + std::to_string(d) + "; expected 1 to 1024");
  }
}

// Views that repeat themselves can claim any extent.
TEST(DecodeArguments, HugeExtents) {
  const auto claim = [](std::array<int64_t, kMaxRank> shape) {
    return [shape](DecodeCall& call) {
      call.args.q.shape = shape;
      call.args.q.strides = {0, 0, 0, 1};
    };
  };
  const SceneSpec spec = small_call(false, false);
  expect_both_refuse(spec, claim({int64_t{1} << 31, 2, 6, 16}), "b = 2147483648; expected 0 to 2^31 - 1");
  expect_both_refuse(spec, claim({INT64_MAX, INT64_MAX, 6, 16}), "b = 9223372036854775807; expected 0 to 2^31 - 1");
  expect_both_refuse(spec, claim({2, int64_t{1} << 31, 6, 16}), "s_q = 2147483648; expected 1 to 2^31 - 1");
  expect_both_refuse(spec, claim({2, 2, int64_t{3} << 30, 16}), "h_q = 3221225472; expected 1 to 2^31 - 1");
  expect_both_refuse(spec, claim({2, 357913942, 6, 16}),
                     "s_q * h_q = 357913942 * 6; expected at most 2^31 - 1 query rows a sequence");
}

TEST(DecodeArguments, Lengths) {
  static constexpr int32_t kNegative[] = {9, -1}, kLong[] = {17, 5};
  for (const bool ragged : {false, true}) {
    const SceneSpec spec = small_call(ragged, false);
    DecodeCall call(spec);
    // Lengths are checked before they are compared with the plan's where they could not be read otherwise.
    call.args.seqlens = ConstTensor(kNegative, DType::int32, {2});
    EXPECT_TRUE(is_refused(reference_decode(call.args, {}, 8).status(), "seqlens[1] = -1; expected 0 or more"));
    EXPECT_TRUE(is_refused(decode(call.plan, call.args),
                           "plan was made for seqlens[1] = 5, this call has -1; plan again",
                           StatusCode::plan_mismatch));
    call.args.seqlens = ConstTensor(kLong, DType::int32, {2});
    EXPECT_TRUE(is_refused(reference_decode(call.args, {}, 8).status(),
                           "seqlens[0] = 17; expected at most max_pages * page_size = 4 * 4"));
    EXPECT_TRUE(call.output.untouched());
  }
  // A plan knows no page table, so that these lengths may still be more than this call's holds.
  expect_both_refuse(
      small_call(false, false), [](DecodeCall& call) { call.args.page_table.shape[1] = 2; },
      "seqlens[0] = 9; expected at most max_pages * page_size = 2 * 4");
  expect_both_refuse(
      small_call(false, false), [](DecodeCall& call) { call.args.page_table.shape[1] = 0; },
      "seqlens[0] = 9; expected at most max_pages * page_size = 0 * 4");
}

TEST(DecodeArguments, QueryOffsets) {
  const auto expect_reference_refuses = [](std::vector<int32_t> offsets, const std::string& message) {
    DecodeCall call(small_call(true, false));
    call.args.cu_seqlens_q = ConstTensor(offsets.data(), DType::int32, {static_cast<int64_t>(offsets.size())});
    EXPECT_TRUE(is_refused(reference_decode(call.args, {}, 8).status(), message));
    EXPECT_FALSE(decode(call.plan, call.args).ok());
    EXPECT_TRUE(call.output.untouched());
  };
  expect_reference_refuses({1, 3, 4}, "cu_seqlens_q[0] = 1; expected 0");
  expect_reference_refuses({0, -1, 4}, "cu_seqlens_q[1] = -1; expected at least cu_seqlens_q[0] = 0");
  expect_reference_refuses({0, 3, 2}, "cu_seqlens_q[2] = 2; expected at least cu_seqlens_q[1] = 3");
  expect_reference_refuses({0, INT32_MIN, INT32_MAX},
                           "cu_seqlens_q[1] = -2147483648; expected at least cu_seqlens_q[0] = 0");
  expect_reference_refuses({0, 3, 3}, "cu_seqlens_q[2] = 3; expected total_q = 4");
  expect_reference_refuses({0, 3, 5}, "cu_seqlens_q[2] = 5; expected total_q = 4");
  expect_reference_refuses({0, 3, INT32_MAX},
                           "cu_seqlens_q[2] - cu_seqlens_q[1] = 2147483644; expected at most 2^31 - 1 query rows a "
                           "sequence with h_q = 6");
  expect_reference_refuses({0, 4}, "page_table has shape [2, 4]; expected [b, max_pages] = [1, any]");
  expect_reference_refuses({}, "cu_seqlens_q has shape [0]; expected [b + 1]");
}

TEST(DecodeArguments, LivePages) {
  const SceneSpec spec = small_call(false, false);
  SceneSpec windowed = spec;
  windowed.shape.page_size = 1;
  windowed.mask = {.causal = true, .window = 2, .sinks = 1};
  const auto expect = [](const SceneSpec& of, int32_t page, int64_t sequence, int64_t column) {
    const int64_t pages = Scene(of).k_cache.view().shape[0];
    if (page == 0) page = static_cast<int32_t>(pages);
    expect_both_refuse(
        of, [=](DecodeCall& call) { call.scene.page_table.set(page, sequence, column); },
        "page_table[" + std::to_string(sequence) + ", " + std::to_string(column) + "] = " + std::to_string(page) +
            "; expected 0 to num_pages - 1 = " + std::to_string(pages - 1) + " (the page holds visible keys)");
  };
  constexpr int32_t kNumPages = 0;
  for (const int32_t page : {-1, INT32_MIN, kNumPages, INT32_MAX}) {
    for (const int column : {0, 1, 2}) expect(spec, page, 0, column);
    for (const int column : {0, 1}) expect(spec, page, 1, column);
    // Of 9 keys, the two queries see 0 (a sink) and 6 to 8; of 5, 0 and 2 to 4.
    for (const int column : {0, 6, 7, 8}) expect(windowed, page, 0, column);
    for (const int column : {0, 2, 3, 4}) expect(windowed, page, 1, column);
    for (const int column : {1, 5, 9}) {
      DecodeCall call(windowed);
      call.scene.page_table.set(page, 0, column);
      EXPECT_TRUE(decode(call.plan, call.args).ok()) << "column " << column << " is dead";
    }
  }
}

TEST(DecodeArguments, NoPages) {
  expect_both_refuse(
      small_call(false, false), [](DecodeCall& call) { call.args.k_cache.shape[0] = 0; },
      "page_table[0, 0] = " + std::to_string(static_cast<int>(Scene(small_call(false, false)).page_table.get(0, 0))) +
          "; expected 0 to num_pages - 1 = -1 (the page holds visible keys)");
}

TEST(DecodeArguments, Scale) {
  const auto with_scale = [](double scale) { return [scale](DecodeCall& call) { call.args.scale = scale; }; };
  const SceneSpec spec = small_call(false, false);
  const std::string expected = "; expected a finite number of float32's range";
  expect_both_refuse(spec, with_scale(std::nan("")), "scale = nan" + expected);
  expect_both_refuse(spec, with_scale(HUGE_VAL), "scale = inf" + expected);
  expect_both_refuse(spec, with_scale(-HUGE_VAL), "scale = -inf" + expected);
  expect_both_refuse(spec, with_scale(1e39), "scale = 1e+39" + expected);
}

TEST(DecodeArguments, Workspace) {
  const std::string needed = std::to_string(DecodeCall(small_call(false, false)).plan.workspace_size());
  const size_t size = DecodeCall(small_call(false, false)).plan.workspace_size();
  expect_refused([](DecodeCall& call) { call.args.workspace = nullptr; },
                 "workspace is null; expected " + needed + " bytes");
  for (const size_t too_small : {size_t{0}, size - 1}) {
    expect_refused(
        [=](DecodeCall& call) { call.args.workspace_size = too_small; },
        "workspace_size = " + std::to_string(too_small) + "; expected at least plan.workspace_size() = " + needed);
  }
  DecodeCall call(small_call(false, false));
  call.args.workspace = call.workspace.data() + 32;
  std::ostringstream address;
  address << call.args.workspace;
  EXPECT_TRUE(is_refused(decode(call.plan, call.args),
                         "workspace is at address " + address.str() + "; expected a multiple of 64"));
  EXPECT_TRUE(call.output.untouched());
}

TEST(DecodeArguments, Executor) {
  const flash_mla::Executor executor{};
  expect_refused([&](DecodeCall& call) { call.args.executor = &executor; },
                 "executor.parallel_for is null; expected a function, or no executor");
}

TEST(ReferenceArguments, ValueWidth) {
  DecodeCall call(small_call(false, false));
  call.args.out = {};
  EXPECT_TRUE(is_refused(reference_decode(call.args, {}, 0).status(), "d_v = 0; expected 1 to 1024"));
  EXPECT_TRUE(is_refused(reference_decode(call.args, {}, -5).status(), "d_v = -5; expected 1 to 1024"));
  EXPECT_TRUE(is_refused(reference_decode(call.args, {}, 1025).status(), "d_v = 1025; expected 1 to 1024"));
  EXPECT_TRUE(is_refused(reference_decode(call.args, {}, 17).status(),
                         "d_v = 17; expected at most d = 16 where V is part of K (no v_cache)"));
}

TEST(ReferenceArguments, Mask) {
  DecodeCall call(small_call(false, false));
  EXPECT_TRUE(is_refused(reference_decode(call.args, {.window = -1}, 8).status(),
                         "mask.window = -1; expected 0 (none) or more"));
  EXPECT_TRUE(
      is_refused(reference_decode(call.args, {.sinks = -2}, 8).status(), "mask.sinks = -2; expected 0 or more"));
}

TEST(ReferenceArguments, OutputsAreOptionalAndNotWritten) {
  DecodeCall call(small_call(false, false));
  EXPECT_TRUE(reference_decode(call.args, {}, 8).ok());
  EXPECT_TRUE(call.output.untouched());
  call.args.out = {}, call.args.lse = {}, call.args.workspace = nullptr;
  EXPECT_TRUE(reference_decode(call.args, {}, 8).ok());
}

}  // namespace
}  // namespace flash_mla::test
