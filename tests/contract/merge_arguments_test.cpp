// What merge() refuses; nothing is written then.
#include "flash_mla/merge.h"
#include "refusal.h"
#include "support/array.h"

namespace flash_mla::test {
namespace {

/// Two parts of [2, 3, 4, 8], or ragged ones of [5, 4, 8].
struct MergeCall {
  std::vector<Array> out, lse;  ///< the target, then the parts
  std::vector<PartialResult> parts;
  Tensor target_out, target_lse;

  explicit MergeCall(bool ragged) {
    for (int i = 0; i < 3; ++i) {
      out.emplace_back(DType::bfloat16, ragged ? std::vector<int64_t>{5, 4, 8} : std::vector<int64_t>{2, 3, 4, 8});
      lse.emplace_back(DType::float32, ragged ? std::vector<int64_t>{4, 5} : std::vector<int64_t>{2, 4, 3});
      if (i > 0) parts.push_back({out[i].view(), lse[i].view()});
    }
    target_out = out[0].view();
    target_lse = lse[0].view();
    out[1].set(1, 0, 0, 0, 0), lse[1].set(1, 0, 0, 0);
  }
  void expect_refused(const std::string& message) const {
    EXPECT_TRUE(is_refused(merge(parts, target_out, target_lse), message));
    EXPECT_TRUE(out[0].untouched() && lse[0].untouched());
  }
};

/// `place` finds the tensor in the call.
template <class Place>
void expect_tensor_refused(bool ragged, Place place, const TensorArgument& argument) {
  MergeCall call(ragged);
  auto& tensor = place(call);
  const auto good = tensor;
  Tensor view;
  view.data = const_cast<void*>(static_cast<const void*>(good.data));
  view.dtype = good.dtype, view.rank = good.rank, view.shape = good.shape, view.strides = good.strides;
  for (const BadTensor& bad : ways_to_be_wrong(view, argument)) {
    // The target's rank says which form all arrays have, and its extents what they have to be: see below.
    const bool decides = bad.what == "absent" || bad.what.starts_with("rank") || bad.what.starts_with("extent");
    if (argument.name == "out" && decides) continue;
    SCOPED_TRACE(argument.name + ": " + bad.what);
    tensor = bad.tensor;
    call.expect_refused(bad.message);
  }
  tensor = good;
  EXPECT_TRUE(merge(call.parts, call.target_out, call.target_lse).ok()) << argument.name << ": the good call";
}

TEST(MergeArguments, Tensors) {
  for (const bool ragged : {false, true}) {
    const std::string out_shape = ragged ? "[total_q, h_q, d_v]" : "[b, s_q, h_q, d_v]";
    const std::string lse_shape = ragged ? "[h_q, total_q]" : "[b, h_q, s_q]";
    const std::string out_extents = ragged ? "[5, 4, 8]" : "[2, 3, 4, 8]",
                      lse_extents = ragged ? "[4, 5]" : "[2, 4, 3]";
    expect_tensor_refused(ragged, [](MergeCall& call) -> Tensor& { return call.target_lse; },
                          {"lse", lse_shape, lse_extents, false, true});
    expect_tensor_refused(ragged, [](MergeCall& call) -> ConstTensor& { return call.parts[1].out; },
                          {"parts[1].out", out_shape, out_extents});
    expect_tensor_refused(ragged, [](MergeCall& call) -> ConstTensor& { return call.parts[0].lse; },
                          {"parts[0].lse", lse_shape, lse_extents, false});
    const std::string any = ragged ? "[any, any, any]" : "[any, any, any, any]";
    expect_tensor_refused(ragged, [](MergeCall& call) -> Tensor& { return call.target_out; },
                          {"out", out_shape, any, true, true});
  }
}

TEST(MergeArguments, NoParts) {
  MergeCall call(false);
  call.parts.clear();
  call.expect_refused("parts is empty; expected at least one");
}

TEST(MergeArguments, RankOfTheTarget) {
  for (const int32_t rank : {-1, 0, 2, 5, INT32_MAX}) {
    MergeCall call(false);
    call.target_out.rank = rank;
    call.expect_refused("out has rank " + std::to_string(rank) +
                        "; expected [b, s_q, h_q, d_v] or [total_q, h_q, d_v]");
  }
  MergeCall absent(false);
  absent.target_out = {};
  absent.expect_refused("out has rank 0; expected [b, s_q, h_q, d_v] or [total_q, h_q, d_v]");
}

TEST(MergeArguments, ExtentsOfTheTarget) {
  MergeCall negative(false);
  negative.target_out.shape[2] = -1;
  negative.expect_refused("out has shape [2, 3, -1, 8]; expected [b, s_q, h_q, d_v] = [2, 3, any, 8]");
  MergeCall fewer(true);
  fewer.target_out.shape[0] = 4;
  fewer.expect_refused("lse has shape [4, 5]; expected [h_q, total_q] = [4, 4]");
  MergeCall narrower(false);
  narrower.target_out.shape[3] = 7;
  narrower.expect_refused("parts[0].out has shape [2, 3, 4, 8]; expected [b, s_q, h_q, d_v] = [2, 3, 4, 7]");
}

TEST(MergeArguments, Types) {
  for (const bool ragged : {false, true}) {
    MergeCall out(ragged);
    out.target_out.dtype = DType::int32;
    out.target_out.shape[ragged ? 2 : 3] = 4;  // of 4 bytes
    out.expect_refused("out has dtype int32; expected float32, bfloat16 or float16");
    MergeCall lse(ragged);
    lse.target_lse.dtype = DType::int32;
    lse.expect_refused("lse has dtype int32; expected float32");
    MergeCall part_out(ragged);
    part_out.parts[1].out.dtype = DType::int64;
    part_out.expect_refused("parts[1].out has dtype int64; expected float32, bfloat16 or float16");
    MergeCall part_lse(ragged);
    part_lse.parts[0].lse.dtype = DType::int32;
    part_lse.expect_refused("parts[0].lse has dtype int32; expected float32");
  }
}

TEST(MergeArguments, TargetsThatOverlapThemselves) {
  MergeCall call(false);
  call.target_out.strides[1] = 31;
  call.expect_refused("out has stride 31 on axis 1; its elements overlap, expected 32 or more");
  MergeCall lse(false);
  lse.target_lse.strides = {12, 1, 1};
  lse.expect_refused("lse has stride 1 on axis 2; its elements overlap, expected 4 or more");
}

}  // namespace
}  // namespace flash_mla::test
