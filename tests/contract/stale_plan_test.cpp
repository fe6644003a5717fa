// A plan fits one set of shapes and lengths, and is refused for all others.
#include "decode_call.h"
#include "refusal.h"

namespace flash_mla::test {
namespace {

/// The plan of `planned` with the arrays of `called`.
void expect_stale(const SceneSpec& planned, const SceneSpec& called, const std::string& message) {
  DecodeCall plan(planned), call(called);
  // A workspace that is large enough for either.
  const Memory workspace(plan.plan.workspace_size() + call.plan.workspace_size(), Border::poison);
  call.args.workspace = workspace.data();
  call.args.workspace_size = workspace.size();
  EXPECT_TRUE(is_refused(decode(plan.plan, call.args), message, StatusCode::plan_mismatch));
  EXPECT_TRUE(call.output.untouched());
  EXPECT_TRUE(decode(call.plan, call.args).ok()) << "its own plan";
}

TEST(StalePlan, OtherLengths) {
  for (const bool ragged : {false, true}) {
    const SceneSpec planned = small_call(ragged, false);
    for (const int difference : {-5, -1, 1, 2}) {
      SceneSpec called = planned;
      called.seqlens[1] += difference;
      expect_stale(
          planned, called,
          "plan was made for seqlens[1] = 5, this call has " + std::to_string(5 + difference) + "; plan again");
    }
    SceneSpec swapped = planned;
    std::swap(swapped.seqlens[0], swapped.seqlens[1]);
    expect_stale(planned, swapped, "plan was made for seqlens[0] = 9, this call has 5; plan again");
  }
}

TEST(StalePlan, OtherQueryOffsets) {
  const SceneSpec planned = small_call(true, false);
  SceneSpec called = planned;
  called.cu_seqlens_q = {0, 2, 4};
  expect_stale(planned, called, "plan was made for cu_seqlens_q[1] = 3, this call has 2; plan again");
  called.cu_seqlens_q = {0, 3, 5};
  expect_stale(planned, called, "plan was made for cu_seqlens_q[2] = 4, this call has 5; plan again");
}

TEST(StalePlan, RaggedOrNot) {
  SceneSpec uniform = small_call(false, false), ragged = uniform;
  ragged.cu_seqlens_q = {0, 2, 4};
  expect_stale(uniform, ragged, "plan was made without cu_seqlens_q, this call has it; plan again");
  expect_stale(ragged, uniform, "plan was made with cu_seqlens_q, this call has none; plan again");
}

TEST(StalePlan, OtherShapes) {
  const SceneSpec planned = small_call(false, false);
  const auto expect = [&](auto change, const std::string& message) {
    SceneSpec called = planned;
    change(called);
    expect_stale(planned, called, message);
  };
  expect([](SceneSpec& spec) { spec.seqlens = {9, 5, 5}; }, "plan was made for b = 2, this call has 3; plan again");
  expect([](SceneSpec& spec) { spec.seqlens = {9}; }, "plan was made for b = 2, this call has 1; plan again");
  expect([](SceneSpec& spec) { spec.shape.s_q = 1; }, "plan was made for s_q = 2, this call has 1; plan again");
  expect([](SceneSpec& spec) { spec.shape.h_q = 3; }, "plan was made for h_q = 6, this call has 3; plan again");
  expect([](SceneSpec& spec) { spec.shape.h_kv = 1; }, "plan was made for h_kv = 3, this call has 1; plan again");
  expect([](SceneSpec& spec) { spec.shape.d = 17; }, "plan was made for d = 16, this call has 17; plan again");
  expect([](SceneSpec& spec) { spec.shape.page_size = 5; },
         "plan was made for page_size = 4, this call has 5; plan again");
  expect([](SceneSpec& spec) { spec.shape.separate_v = true; },
         "plan was made without v_cache, this call has one; plan again");
  expect([](SceneSpec& spec) { spec.shape.dtype = spec.shape.out_dtype = DType::float16; },
         "plan was made for dtype bfloat16 and out bfloat16, this call has float16 and float16; plan again");
  expect([](SceneSpec& spec) { spec.shape.out_dtype = DType::float32; },
         "plan was made for dtype bfloat16 and out bfloat16, this call has bfloat16 and float32; plan again");
}

TEST(StalePlan, NoValueCacheAnyMore) {
  expect_stale(small_call(false, true), small_call(false, false),
               "plan was made with v_cache, this call has none; plan again");
}

// d_v is the plan's, so it is the arrays that do not fit.
TEST(StalePlan, OtherValueWidths) {
  for (const bool separate_v : {false, true}) {
    SceneSpec planned = small_call(false, separate_v), called = planned;
    called.shape.d_v = 7;
    DecodeCall plan(planned), call(called);
    EXPECT_TRUE(is_refused(decode(plan.plan, call.args),
                           separate_v ? "v_cache has shape [8, 4, 3, 7]; expected [num_pages, page_size, h_kv, d_v] = "
                                        "[8, 4, 3, 8]"
                                      : "out has shape [2, 2, 6, 7]; expected [b, s_q, h_q, d_v] = [2, 2, 6, 8]"));
    EXPECT_TRUE(call.output.untouched());
  }
}

TEST(StalePlan, RemakingMakesItFit) {
  SceneSpec planned = small_call(false, false), called = planned;
  called.seqlens = {10, 6};
  DecodeCall plan(planned), call(called);
  ASSERT_FALSE(decode(plan.plan, call.args).ok());
  ASSERT_TRUE(plan.plan.remake(call.scene.plan_spec()).ok());
  EXPECT_TRUE(decode(plan.plan, call.args).ok());
  EXPECT_FALSE(decode(plan.plan, plan.args).ok());
}

}  // namespace
}  // namespace flash_mla::test
