#include "draw_scene.h"

#include <limits>

namespace flash_mla::fuzz {
namespace {

void draw_widths(DecodeShape& shape, Bytes& bytes) {
  shape.d = bytes.rarely(4) ? bytes.pick({64, 96, 128, 288, 576, 1024}) : bytes.number(1, 40);
  const int64_t most = shape.separate_v ? 2 * shape.d : shape.d;
  shape.d_v = std::min<int64_t>(1024, bytes.rarely(4) ? most : bytes.number(1, most));
}

/// Shortens sequences until a call takes about a millisecond.
void limit_work(test::SceneSpec& spec) {
  constexpr int64_t kMostProducts = 1 << 17;
  const DecodeShape& shape = spec.shape;
  for (size_t i = 0; i < spec.seqlens.size(); ++i) {
    const int64_t s_q = spec.cu_seqlens_q.empty() ? shape.s_q : spec.cu_seqlens_q[i + 1] - spec.cu_seqlens_q[i];
    const int64_t products = std::max<int64_t>(1, s_q * shape.h_q * (shape.d + shape.d_v));
    spec.seqlens[i] = static_cast<int32_t>(std::min<int64_t>(spec.seqlens[i], kMostProducts / products));
  }
}

Mask draw_mask(Bytes& bytes) {
  Mask mask{.causal = bytes.flag()};
  if (bytes.flag()) mask.window = bytes.rarely(8) ? INT64_MAX : bytes.number(1, 40);
  if (bytes.flag()) mask.sinks = bytes.rarely(8) ? INT64_MAX : bytes.number(0, 12);
  return mask;
}

}  // namespace

test::SceneSpec draw_scene(Bytes& bytes) {
  test::SceneSpec spec;
  DecodeShape& shape = spec.shape;
  shape.dtype = bytes.pick({DType::bfloat16, DType::float16, DType::float32});
  shape.out_dtype = bytes.flag() ? DType::float32 : shape.dtype;
  shape.separate_v = bytes.flag();
  draw_widths(shape, bytes);
  shape.h_kv = bytes.number(1, 3);
  shape.h_q = shape.h_kv * (bytes.rarely(6) && shape.d < 128 ? bytes.number(15, 35) : bytes.number(1, 5));
  shape.page_size = bytes.pick({1, 2, 3, 7, 16, 64, 100});
  shape.s_q = bytes.rarely(6) && shape.d < 64 ? bytes.number(1, 12) : bytes.number(1, 3);
  const bool ragged = bytes.flag();
  if (ragged) spec.cu_seqlens_q.push_back(0);
  for (int64_t left = bytes.number(0, 3); left > 0; --left) {
    spec.seqlens.push_back(static_cast<int32_t>(bytes.rarely(6) ? bytes.number(0, 300) : bytes.number(0, 40)));
    if (ragged) spec.cu_seqlens_q.push_back(spec.cu_seqlens_q.back() + static_cast<int32_t>(bytes.number(0, 4)));
  }
  limit_work(spec);
  spec.mask = draw_mask(bytes);
  if (bytes.flag()) spec.scale = bytes.pick({0.0, -0.2, 0.5, 1.0, 1e-30});
  spec.deviation = bytes.pick({1.0, 0.1});
  spec.seed = static_cast<uint64_t>(bytes.number(0, 3));
  spec.page_seed = static_cast<uint64_t>(bytes.number(0, 3));
  spec.spread = bytes.pick({test::Spread::dense, test::Spread::padded, test::Spread::heads_first});
  spec.border = test::Border::heap;
  return spec;
}

void spoil_keys(test::Scene& scene, Bytes& bytes) {
  const test::SceneSpec& spec = scene.spec();
  for (int64_t left = bytes.rarely(3) ? bytes.number(1, 3) : 0; left > 0 && spec.shape.batch > 0; --left) {
    const int64_t sequence = bytes.number(0, spec.shape.batch - 1);
    if (spec.seqlens[sequence] == 0) continue;
    const int64_t key = bytes.number(0, spec.seqlens[sequence] - 1);
    const int64_t head = bytes.number(0, spec.shape.h_kv - 1);
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const double value = bytes.pick({std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity, 0.0});
    bool seen = false;
    for (int64_t token = 0; token < scene.s_q(sequence); ++token) seen = seen || scene.sees(sequence, token, key);
    if (!seen) continue;
    if (bytes.flag()) {
      scene.set_key(sequence, key, head, bytes.number(0, spec.shape.d - 1), value);
    } else {
      scene.set_value(sequence, key, head, bytes.number(0, spec.shape.d_v - 1), value);
    }
  }
}

}  // namespace flash_mla::fuzz
