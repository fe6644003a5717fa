#include "decode_call.h"

#include <cmath>
#include <sstream>

#include "draw_scene.h"
#include "spoil.h"

namespace flash_mla::fuzz {

DecodeCall::DecodeCall(Bytes& bytes) : scene(draw_scene(bytes)), output(scene), args(scene.args()) {
  spoil_keys(scene, bytes);
  args.out = output.out.view();
  if (!bytes.rarely(4)) args.lse = output.lse.view();
  for (int64_t left = bytes.flag() ? bytes.number(1, 2) : 0; left > 0; --left) spoil(bytes);
}

void DecodeCall::spoil(Bytes& bytes) {
  switch (bytes.number(0, 11)) {
    case 0:
      return spoil_tensor(args.q, scene.q, bytes, false);
    case 1:
      return spoil_tensor(args.k_cache, scene.k_cache, bytes, false);
    case 2:
      return spoil_tensor(args.v_cache, scene.v_cache, bytes, true);
    case 3:
      return spoil_tensor(args.page_table, scene.page_table, bytes, false);
    case 4:
      return spoil_tensor(args.seqlens, scene.seqlens, bytes, false);
    case 5:
      return spoil_tensor(args.cu_seqlens_q, scene.cu_seqlens_q, bytes, true);
    case 6:
      return spoil_tensor(args.out, output.out, bytes, false);
    case 7:
      return spoil_tensor(args.lse, output.lse, bytes, true);
    case 8:
      args.scale = bytes.pick({1e39, -1e39, HUGE_VAL, std::nan("")});
      spoiled.malformed = true;
      return;
    default:
      return spoil_contents(bytes);
  }
}

template <class View>
void DecodeCall::spoil_tensor(View& view, const test::Array& array, Bytes& bytes, bool optional) {
  // A second slip could mend the first.
  if (view.absent() || spoiled.malformed) return;
  const View before = view;
  spoil_view(view, bytes);
  if (view.absent() && (optional || &array == &output.out)) {  // another kind of call
    (optional ? spoiled.tensors : spoiled.no_out) = true;
    return;
  }
  switch (judge_view(view, array.view().rank, array.memory().data(), array.memory().size())) {
    case Verdict::unsafe:
      view = before;
      return;
    case Verdict::malformed:
      spoiled.malformed = true;
      return;
    case Verdict::legal:
      spoiled.tensors = true;
      return;
  }
}

void DecodeCall::spoil_contents(Bytes& bytes) {
  const int64_t batch = scene.spec().shape.batch;
  if (batch == 0) return;
  spoiled.contents = true;
  const int64_t sequence = bytes.number(0, batch - 1);
  const auto value = static_cast<int32_t>(
      bytes.pick({int64_t{-1}, int64_t{INT32_MIN}, int64_t{INT32_MAX}, bytes.number(0, 400), bytes.number(0, 9)}));
  switch (bytes.number(0, 2)) {
    case 0:
      return scene.seqlens.set(value, sequence);
    case 1:
      if (scene.ragged()) scene.cu_seqlens_q.set(value, sequence + bytes.number(0, 1));
      return;
    default:
      return scene.page_table.set(value, sequence, bytes.number(0, scene.page_table.view().shape[1] - 1));
  }
}

std::string DecodeCall::describe() const {
  const test::SceneSpec& spec = scene.spec();
  const DecodeShape& shape = spec.shape;
  std::ostringstream text;
  text << name_of(shape.dtype) << " to " << name_of(shape.out_dtype) << ", s_q " << shape.s_q << ", h_q " << shape.h_q
       << ", h_kv " << shape.h_kv << ", d " << shape.d << ", d_v " << shape.d_v << (shape.separate_v ? " apart" : "")
       << ", pages of " << shape.page_size << "\n"
       << (spec.mask.causal ? "causal, " : "") << "window " << spec.mask.window << ", sinks " << spec.mask.sinks
       << ", scale " << spec.scale.value_or(NAN) << ", deviation " << spec.deviation << ", spread "
       << static_cast<int>(spec.spread) << "\nseqlens";
  for (const int32_t length : spec.seqlens) text << " " << length;
  text << ", cu_seqlens_q";
  for (const int32_t offset : spec.cu_seqlens_q) text << " " << offset;
  text << "\nspoiled:" << (spoiled.malformed ? " malformed" : "") << (spoiled.no_out ? " no out" : "")
       << (spoiled.tensors ? " tensors" : "") << (spoiled.contents ? " contents" : "");
  return text.str();
}

}  // namespace flash_mla::fuzz
