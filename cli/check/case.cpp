#include "check/case.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace flash_mla::cli {
namespace {

std::string describe_lengths(const std::vector<int32_t>& lengths) {
  if (lengths.empty()) return "none";
  const auto [least, most] = std::minmax_element(lengths.begin(), lengths.end());
  return *least == *most ? fmt::format("{}", *least) : fmt::format("{}..{}", *least, *most);
}

const char* name_of(Layout layout) {
  switch (layout) {
    case Layout::padded:
      return "padded";
    case Layout::transposed:
      return "transposed";
    default:
      return "dense";
  }
}

const char* name_of(Values values) {
  switch (values) {
    case Values::unit:
      return "N(0,1)";
    case Values::needles:
      return "needles";
    default:
      return "N(0,1)/10";
  }
}

}  // namespace

double flop_of(const DataSpec& data, const Case& one) {
  double pairs = 0;
  for (size_t i = 0; i < data.seqlens.size(); ++i) {
    const double s_q =
        data.cu_seqlens_q.empty() ? static_cast<double>(one.s_q) : data.cu_seqlens_q[i + 1] - data.cu_seqlens_q[i];
    pairs += s_q * data.seqlens[i];
  }
  return 2.0 * static_cast<double>(one.h_q) * pairs * static_cast<double>(data.shape.d + data.shape.d_v);
}

std::string describe(const DataSpec& data, const Case& one) {
  const DecodeShape& shape = data.shape;
  const std::string s_q = data.cu_seqlens_q.empty() ? fmt::format("{}", one.s_q) : "ragged";
  std::string text = fmt::format("{}: {} {}/{} b={} s_q={} s_k={} h_q={} h_kv={} page={}", data.group,
                                 flash_mla::name_of(shape.dtype), shape.d, shape.d_v, shape.batch, s_q,
                                 describe_lengths(data.seqlens), one.h_q, shape.h_kv, shape.page_size);
  if (shape.separate_v) text += " separate V";
  if (one.causal) text += " causal";
  if (data.mask.window > 0) text += fmt::format(" window={} sinks={}", data.mask.window, data.mask.sinks);
  if (one.out_dtype != shape.dtype) text += fmt::format(" out={}", flash_mla::name_of(one.out_dtype));
  if (!one.with_lse) text += " without lse";
  if (one.mode == PlanMode::batch_invariant) text += " batch-invariant";
  if (one.workers > 0) text += fmt::format(" workers={}", one.workers);
  if (data.scale) text += fmt::format(" scale={}", *data.scale);
  text += fmt::format(" {} {} seed={}", name_of(data.layout), name_of(data.values), data.seed);
  return text;
}

}  // namespace flash_mla::cli
