// Every tensor of decode() and reference_decode(), in every way in which it can be wrong by itself.
#include "decode_call.h"
#include "refusal.h"

namespace flash_mla::test {
namespace {

template <class Member>
class BadDecodeTensor {
 public:
  BadDecodeTensor(const SceneSpec& spec, Member member) : call_(spec), member_(member) {}

  void expect_refused(const TensorArgument& argument) {
    const auto good = call_.args.*member_;
    Tensor view;
    view.data = const_cast<void*>(static_cast<const void*>(good.data));
    view.dtype = good.dtype, view.rank = good.rank, view.shape = good.shape, view.strides = good.strides;
    for (const BadTensor& bad : ways_to_be_wrong(view, argument)) {
      // An optional array that is absent is another call; the reference needs no outputs.
      const bool optional = argument.name == "lse" || argument.name == "v_cache" || argument.name == "cu_seqlens_q";
      if (bad.what == "absent" && optional) continue;
      SCOPED_TRACE(argument.name + ": " + bad.what);
      call_.args.*member_ = bad.tensor;
      EXPECT_TRUE(is_refused(decode(call_.plan, call_.args), bad.message));
      EXPECT_TRUE(call_.output.untouched());
      if (argument.name == "out" && bad.what == "absent") continue;
      EXPECT_TRUE(is_refused(reference_decode(call_.args, {}, 8).status(), bad.message));
    }
    call_.args.*member_ = good;
    EXPECT_TRUE(decode(call_.plan, call_.args).ok()) << argument.name << ": the good call";
  }

 private:
  DecodeCall call_;
  Member member_;
};

void expect_refused(const SceneSpec& spec, auto member, const TensorArgument& argument) {
  BadDecodeTensor(spec, member).expect_refused(argument);
}

const std::string kPages = "[num_pages, page_size, h_kv, d]";

TEST(DecodeTensors, Uniform) {
  const SceneSpec spec = small_call(false, true);
  expect_refused(spec, &DecodeArgs::q, {"q", "[b, s_q, h_q, d]", "[any, any, any, any]"});
  expect_refused(spec, &DecodeArgs::k_cache, {"k_cache", kPages, "[any, any, any, 16]"});
  // Three pages and two, and three to spare.
  expect_refused(spec, &DecodeArgs::v_cache, {"v_cache", "[num_pages, page_size, h_kv, d_v]", "[8, 4, 3, 8]"});
  expect_refused(spec, &DecodeArgs::page_table, {"page_table", "[b, max_pages]", "[2, any]", false});
  expect_refused(spec, &DecodeArgs::seqlens, {"seqlens", "[b]", "[2]", false});
  expect_refused(spec, &DecodeArgs::out, {"out", "[b, s_q, h_q, d_v]", "[2, 2, 6, 8]", true, true});
  expect_refused(spec, &DecodeArgs::lse, {"lse", "[b, h_q, s_q]", "[2, 6, 2]", false, true});
}

TEST(DecodeTensors, Ragged) {
  const SceneSpec spec = small_call(true, true);
  expect_refused(spec, &DecodeArgs::q, {"q", "[total_q, h_q, d] (cu_seqlens_q is given)", "[any, any, any]"});
  expect_refused(spec, &DecodeArgs::cu_seqlens_q, {"cu_seqlens_q", "[b + 1]", "[any]", false});
  expect_refused(spec, &DecodeArgs::out, {"out", "[total_q, h_q, d_v]", "[4, 6, 8]", true, true});
  expect_refused(spec, &DecodeArgs::lse, {"lse", "[h_q, total_q]", "[6, 4]", false, true});
}

TEST(DecodeTensors, ValuesInKeys) {
  expect_refused(small_call(false, false), &DecodeArgs::k_cache, {"k_cache", kPages, "[any, any, any, 16]"});
}

TEST(DecodeTensors, Types) {
  const auto expect_type_refused = [](bool ragged, auto member, DType dtype, const std::string& message) {
    DecodeCall call(small_call(ragged, true));
    (call.args.*member).dtype = dtype;
    EXPECT_TRUE(is_refused(decode(call.plan, call.args), message));
    EXPECT_TRUE(is_refused(reference_decode(call.args, {}, 8).status(), message));
    EXPECT_TRUE(call.output.untouched());
  };
  expect_type_refused(false, &DecodeArgs::q, DType::int32, "q has dtype int32; expected bfloat16, float16 or float32");
  expect_type_refused(true, &DecodeArgs::q, DType::int64, "q has dtype int64; expected bfloat16, float16 or float32");
  expect_type_refused(false, &DecodeArgs::q, DType::float16, "k_cache has dtype bfloat16; expected float16");
  expect_type_refused(false, &DecodeArgs::k_cache, DType::float16, "k_cache has dtype float16; expected bfloat16");
  expect_type_refused(false, &DecodeArgs::v_cache, DType::float16, "v_cache has dtype float16; expected bfloat16");
  expect_type_refused(false, &DecodeArgs::page_table, DType::int64, "page_table has dtype int64; expected int32");
  expect_type_refused(false, &DecodeArgs::seqlens, DType::int64, "seqlens has dtype int64; expected int32");
  expect_type_refused(true, &DecodeArgs::cu_seqlens_q, DType::int64, "cu_seqlens_q has dtype int64; expected int32");
  expect_type_refused(false, &DecodeArgs::out, DType::float16,
                      "out has dtype float16; expected bfloat16 (q's) or float32");
  expect_type_refused(false, &DecodeArgs::lse, DType::bfloat16, "lse has dtype bfloat16; expected float32");
}

TEST(DecodeTensors, OutputsThatOverlapThemselves) {
  DecodeCall call(small_call(false, true));
  const Tensor out = call.args.out, lse = call.args.lse;
  const auto expect_overlap = [&](const std::string& message) {
    EXPECT_TRUE(is_refused(decode(call.plan, call.args), message));
    EXPECT_TRUE(call.output.untouched());
    call.args.out = out, call.args.lse = lse;
  };
  call.args.out.strides[2] = 7;  // rows of 8 columns
  expect_overlap("out has stride 7 on axis 2; its elements overlap, expected 8 or more");
  call.args.out.strides[1] = 6 * 8 - 1;  // six heads
  expect_overlap("out has stride 47 on axis 1; its elements overlap, expected 48 or more");
  call.args.out.strides = {1 * 8, 2 * 8, 3 * 8, 1};
  expect_overlap("out has stride 24 on axis 2; its elements overlap, expected 32 or more");
  call.args.lse.strides = {12, 1, 5};  // six heads next to each other
  expect_overlap("lse has stride 5 on axis 2; its elements overlap, expected 6 or more");
  call.args.lse.strides = {12, 2, 1};
  EXPECT_TRUE(decode(call.plan, call.args).ok());
}

}  // namespace
}  // namespace flash_mla::test
