// What Plan::make() and Plan::remake() refuse; a plan that could not be remade is still the old one.
#include <functional>

#include "decode_call.h"
#include "flash_mla/backend.h"
#include "refusal.h"

namespace flash_mla::test {
namespace {

void expect_refused(bool ragged, const std::function<void(PlanSpec&)>& spoil, const std::string& message,
                    StatusCode code = StatusCode::invalid_argument) {
  DecodeCall call(small_call(ragged, false));
  PlanSpec spec = call.scene.plan_spec();
  spoil(spec);
  EXPECT_TRUE(is_refused(Plan::make(spec).status(), message, code));

  EXPECT_TRUE(is_refused(call.plan.remake(spec), message, code));
  const Status status = decode(call.plan, call.args);
  EXPECT_TRUE(status.ok()) << "the old plan: " << status.message();
  EXPECT_EQ(call.output, run(call.scene, {}));
}

TEST(PlanArguments, Types) {
  for (const auto& [dtype, name] : {std::pair{DType::int32, "int32"}, {static_cast<DType>(9), "unknown"}}) {
    expect_refused(
        false, [=](PlanSpec& spec) { spec.shape.dtype = dtype; },
        std::string("dtype is ") + name + "; expected bfloat16, float16 or float32");
    expect_refused(
        false, [=](PlanSpec& spec) { spec.shape.out_dtype = dtype; },
        std::string("out_dtype is ") + name + "; expected bfloat16 (dtype) or float32");
  }
  expect_refused(
      false, [](PlanSpec& spec) { spec.shape.out_dtype = DType::float16; },
      "out_dtype is float16; expected bfloat16 (dtype) or float32");
  expect_refused(
      false, [](PlanSpec& spec) { spec.shape.dtype = DType::float16; },
      "out_dtype is bfloat16; expected float16 (dtype) or float32");
}

TEST(PlanArguments, Extents) {
  const auto with = [](int64_t DecodeShape::*field, int64_t value) {
    return [=](PlanSpec& spec) { spec.shape.*field = value; };
  };
  for (const bool ragged : {false, true}) {
    expect_refused(ragged, with(&DecodeShape::batch, -1), "b = -1; expected 0 to 2^31 - 1");
    expect_refused(ragged, with(&DecodeShape::batch, int64_t{1} << 31), "b = 2147483648; expected 0 to 2^31 - 1");
    for (const int64_t heads : {int64_t{0}, int64_t{-3}, int64_t{3} << 30}) {
      expect_refused(ragged, with(&DecodeShape::h_q, heads),
                     "h_q = " + std::to_string(heads) + "; expected 1 to 2^31 - 1");
    }
    expect_refused(ragged, with(&DecodeShape::h_q, 5), "h_q = 5; expected a multiple of h_kv = 3");
    for (const int64_t heads : {0, -1}) {
      expect_refused(ragged, with(&DecodeShape::h_kv, heads),
                     "h_kv = " + std::to_string(heads) + "; expected 1 or more");
    }
    expect_refused(ragged, with(&DecodeShape::h_kv, 4), "h_q = 6; expected a multiple of h_kv = 4");
    for (const int64_t width : {0, -1, 1025}) {
      expect_refused(ragged, with(&DecodeShape::d, width), "d = " + std::to_string(width) + "; expected 1 to 1024");
      expect_refused(ragged, with(&DecodeShape::d_v, width), "d_v = " + std::to_string(width) + "; expected 1 to 1024");
    }
    expect_refused(ragged, with(&DecodeShape::d_v, 17),
                   "d_v = 17; expected at most d = 16 where V is part of K (no v_cache)");
    for (const int64_t size : {0, -64}) {
      expect_refused(ragged, with(&DecodeShape::page_size, size),
                     "page_size = " + std::to_string(size) + "; expected 1 or more");
    }
  }
  for (const int64_t queries : {int64_t{0}, int64_t{-1}, int64_t{1} << 31}) {
    expect_refused(false, with(&DecodeShape::s_q, queries),
                   "s_q = " + std::to_string(queries) + "; expected 1 to 2^31 - 1");
  }
  expect_refused(false, with(&DecodeShape::s_q, 357913942),
                 "s_q * h_q = 357913942 * 6; expected at most 2^31 - 1 query rows a sequence");
}

TEST(PlanArguments, UniformQueriesAreIgnoredForRaggedOnes) {
  const Scene scene(small_call(true, false));
  PlanSpec spec = scene.plan_spec();
  spec.shape.s_q = -7;
  EXPECT_TRUE(Plan::make(spec).ok());
}

TEST(PlanArguments, ManyBlocks) {
  static const std::vector<int32_t> lengths(60, 1);
  expect_refused(
      false,
      [](PlanSpec& spec) {
        spec.shape.batch = 60;
        spec.seqlens = lengths.data();
        spec.shape.h_q = spec.shape.h_kv = 1;
        spec.shape.s_q = INT32_MAX;
        spec.shape.d = spec.shape.d_v = 1024;
      },
      "b, s_q and h_q give more than 2097151 blocks of query rows; split the batch");
}

TEST(PlanArguments, Lengths) {
  static constexpr int32_t kNegative[] = {9, -5};
  expect_refused(
      false, [](PlanSpec& spec) { spec.seqlens = nullptr; }, "seqlens is null; expected [b] with b = 2");
  expect_refused(
      true, [](PlanSpec& spec) { spec.seqlens = nullptr; }, "seqlens is null; expected [b] with b = 2");
  expect_refused(
      false, [](PlanSpec& spec) { spec.seqlens = kNegative; }, "seqlens[1] = -5; expected 0 or more");
}

TEST(PlanArguments, QueryOffsets) {
  const auto expect = [](std::vector<int32_t> offsets, const std::string& message) {
    expect_refused(
        true, [&](PlanSpec& spec) { spec.cu_seqlens_q = offsets.data(); }, message);
  };
  expect({2, 3, 4}, "cu_seqlens_q[0] = 2; expected 0");
  expect({0, 3, 2}, "cu_seqlens_q[2] = 2; expected at least cu_seqlens_q[1] = 3");
  expect({0, INT32_MIN, INT32_MAX}, "cu_seqlens_q[1] = -2147483648; expected at least cu_seqlens_q[0] = 0");
  expect(
      {0, 0, INT32_MAX},
      "cu_seqlens_q[2] - cu_seqlens_q[1] = 2147483647; expected at most 2^31 - 1 query rows a sequence with h_q = 6");
}

TEST(PlanArguments, Mask) {
  expect_refused(
      false, [](PlanSpec& spec) { spec.mask.window = -1; }, "mask.window = -1; expected 0 (none) or more");
  expect_refused(
      false, [](PlanSpec& spec) { spec.mask.window = INT64_MIN; },
      "mask.window = -9223372036854775808; expected 0 (none) or more");
  expect_refused(
      false, [](PlanSpec& spec) { spec.mask.sinks = -1; }, "mask.sinks = -1; expected 0 or more");
}

TEST(PlanArguments, ModeAndWorkers) {
  expect_refused(
      false, [](PlanSpec& spec) { spec.mode = static_cast<PlanMode>(2); },
      "mode is 2; expected standard (0) or batch_invariant (1)");
  expect_refused(
      false, [](PlanSpec& spec) { spec.mode = static_cast<PlanMode>(-1); },
      "mode is -1; expected standard (0) or batch_invariant (1)");
  for (const int workers : {-1, 1025, INT32_MIN, INT32_MAX}) {
    expect_refused(
        false, [=](PlanSpec& spec) { spec.num_workers = workers; },
        "num_workers = " + std::to_string(workers) + "; expected 0 (default) to 1024");
  }
}

TEST(PlanArguments, Backend) {
  expect_refused(
      false, [](PlanSpec& spec) { spec.backend = "avx1024"; },
      "backend = avx1024; expected one of avx512_bf16, avx512, avx2, neon_bf16, neon, scalar, sm90",
      StatusCode::not_found);
  for (const BackendInfo& backend : backends()) {
    if (backend.usable) continue;
    expect_refused(
        false, [&](PlanSpec& spec) { spec.backend = backend.name; },
        std::string("backend = ") + backend.name + " cannot be used here: " + backend.reason, StatusCode::unsupported);
  }
}

}  // namespace
}  // namespace flash_mla::test
