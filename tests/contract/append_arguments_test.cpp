// What append() refuses; nothing is written then.
#include "flash_mla/append.h"
#include "refusal.h"
#include "support/array.h"

namespace flash_mla::test {
namespace {

/// Four tokens of two heads into five pages of three, keys of 8 columns, values of 4.
struct AppendCall {
  Array rows{DType::bfloat16, {4, 2, 8}}, latent{DType::bfloat16, {4, 2, 5}}, rope{DType::bfloat16, {4, 2, 3}};
  Array v_rows{DType::bfloat16, {4, 2, 4}};
  Array k_cache{DType::bfloat16, {5, 3, 2, 8}}, v_cache{DType::bfloat16, {5, 3, 2, 4}};
  std::vector<int64_t> slots = {3, 14, -1, 0};
  AppendArgs args;

  explicit AppendCall(bool with_rope = false, bool with_values = true) {
    args.rows = with_rope ? latent.view() : rows.view();
    if (with_rope) args.rope = rope.view();
    args.slot_mapping = ConstTensor(slots.data(), DType::int64, {4});
    args.k_cache = k_cache.view();
    if (!with_values) return;
    args.v_rows = v_rows.view();
    args.v_cache = v_cache.view();
  }
  void expect_refused(const std::string& message) {
    // Rows differ from the poison that the caches hold, so that every write shows.
    rows.set(1, 0, 0, 0), latent.set(1, 0, 0, 0), rope.set(1, 0, 0, 0), v_rows.set(1, 0, 0, 0);
    EXPECT_TRUE(is_refused(append(args), message));
    EXPECT_TRUE(k_cache.untouched() && v_cache.untouched());
  }
};

void expect_tensor_refused(bool with_rope, auto member, const TensorArgument& argument) {
  AppendCall call(with_rope);
  const auto good = call.args.*member;
  Tensor view;
  view.data = const_cast<void*>(static_cast<const void*>(good.data));
  view.dtype = good.dtype, view.rank = good.rank, view.shape = good.shape, view.strides = good.strides;
  for (const BadTensor& bad : ways_to_be_wrong(view, argument)) {
    if (bad.what == "absent" && (argument.name == "rope" || argument.name == "v_cache")) continue;
    SCOPED_TRACE(argument.name + ": " + bad.what);
    call.args.*member = bad.tensor;
    call.expect_refused(bad.message);
  }
  call.args.*member = good;
  EXPECT_TRUE(append(call.args).ok()) << argument.name << ": the good call";
}

TEST(AppendArguments, Tensors) {
  expect_tensor_refused(false, &AppendArgs::rows, {"rows", "[tokens, h_kv, d]", "[4, 2, 8]"});
  expect_tensor_refused(true, &AppendArgs::rows, {"rows", "[tokens, h_kv, d - d_rope]", "[4, 2, 5]"});
  expect_tensor_refused(true, &AppendArgs::rope, {"rope", "[tokens, h_kv, d_rope]", "[4, 2, any]"});
  expect_tensor_refused(false, &AppendArgs::v_rows, {"v_rows", "[tokens, h_kv, d_v]", "[4, 2, 4]"});
  expect_tensor_refused(false, &AppendArgs::slot_mapping, {"slot_mapping", "[tokens]", "[any]", false});
  expect_tensor_refused(false, &AppendArgs::k_cache,
                        {"k_cache", "[num_pages, page_size, h_kv, d]", "[any, any, any, any]", true, true});
  expect_tensor_refused(false, &AppendArgs::v_cache,
                        {"v_cache", "[num_pages, page_size, h_kv, d_v]", "[5, 3, 2, any]", true, true});
}

TEST(AppendArguments, Types) {
  const auto expect = [](bool with_rope, auto member, DType dtype, const std::string& message) {
    AppendCall call(with_rope);
    (call.args.*member).dtype = dtype;
    call.expect_refused(message);
  };
  expect(false, &AppendArgs::k_cache, DType::int32, "k_cache has dtype int32; expected bfloat16, float16 or float32");
  expect(false, &AppendArgs::k_cache, DType::float16, "rows has dtype bfloat16; expected float16");
  expect(false, &AppendArgs::rows, DType::float16, "rows has dtype float16; expected bfloat16");
  expect(true, &AppendArgs::rope, DType::float16, "rope has dtype float16; expected bfloat16");
  expect(false, &AppendArgs::v_rows, DType::float16, "v_rows has dtype float16; expected bfloat16");
  expect(false, &AppendArgs::v_cache, DType::float16, "v_cache has dtype float16; expected bfloat16");
  expect(false, &AppendArgs::slot_mapping, DType::int32, "slot_mapping has dtype int32; expected int64");
}

TEST(AppendArguments, ShapesTogether) {
  AppendCall wide(true);
  wide.args.rope.shape[2] = 9;
  wide.expect_refused("rope has width 9; expected at most d = 8");

  AppendCall narrow(true);
  narrow.args.rope.shape[2] = 2;
  narrow.expect_refused("rows has shape [4, 2, 5]; expected [tokens, h_kv, d - d_rope] = [4, 2, 6]");

  AppendCall no_value_cache(false, false);
  no_value_cache.args.v_rows = no_value_cache.v_rows.view();
  no_value_cache.expect_refused("v_rows is given but v_cache is absent; expected both or neither");

  AppendCall no_value_rows(false, false);
  no_value_rows.args.v_cache = no_value_rows.v_cache.view();
  no_value_rows.expect_refused("v_rows is absent; expected [tokens, h_kv, d_v]");

  AppendCall fewer_slots;
  fewer_slots.args.slot_mapping.shape[0] = 3;
  fewer_slots.expect_refused("rows has shape [4, 2, 8]; expected [tokens, h_kv, d] = [3, 2, 8]");
}

TEST(AppendArguments, Slots) {
  for (const int64_t slot : {int64_t{-2}, INT64_MIN, int64_t{15}, int64_t{1} << 40, INT64_MAX}) {
    AppendCall call;
    call.slots[2] = slot;
    call.expect_refused("slot_mapping[2] = " + std::to_string(slot) +
                        "; expected -1 (skip) or 0 to num_pages * page_size - 1 with 5 pages of 3");
  }
  AppendCall twice;
  twice.slots = {14, 3, 7, 3};
  twice.expect_refused("slot_mapping[1] and slot_mapping[3] are both 3; expected each slot once");
}

TEST(AppendArguments, CachesWithoutSlots) {
  AppendCall no_pages;
  no_pages.args.k_cache.shape[0] = no_pages.args.v_cache.shape[0] = 0;
  no_pages.expect_refused(
      "slot_mapping[0] = 3; expected -1 (skip) or 0 to num_pages * page_size - 1 with 0 pages of 3");
  AppendCall empty_pages;
  empty_pages.args.k_cache.shape[1] = empty_pages.args.v_cache.shape[1] = 0;
  empty_pages.expect_refused(
      "slot_mapping[0] = 3; expected -1 (skip) or 0 to num_pages * page_size - 1 with 5 pages of 0");
}

TEST(AppendArguments, CachesThatOverlapThemselves) {
  AppendCall call;
  call.args.k_cache.strides[1] = 15;
  call.expect_refused("k_cache has stride 15 on axis 1; its elements overlap, expected 16 or more");
}

}  // namespace
}  // namespace flash_mla::test
