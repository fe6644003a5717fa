#include "replay/verifier.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/bfloat16.h"
#include "replay/random_rows.h"

namespace flash_mla::cli {
namespace {

/// One sequence, heads [first, first + count), of arrays that hold the whole batch.
ConstTensor slice(ConstTensor tensor, int64_t sequence, int head_axis, int64_t first, int64_t count) {
  const int64_t offset = sequence * tensor.strides[0] + first * tensor.strides[head_axis];
  tensor.data = static_cast<const std::byte*>(tensor.data) + offset * static_cast<int64_t>(size_of(tensor.dtype));
  tensor.shape[0] = 1;
  tensor.shape[head_axis] = count;
  return tensor;
}

ConstTensor slice(ConstTensor tensor, int64_t sequence) {
  return slice(tensor, sequence, 0, 0, 1);
}

/// One row of bfloat16.
Errors compare_head(const uint16_t* out, float lse, const double* expected_out, double expected_lse, int64_t d_v) {
  std::vector<float> row(out, out + d_v);
  std::transform(out, out + d_v, row.begin(), from_bfloat16);
  Errors errors = compare_row(row.data(), expected_out, d_v, expected_lse);
  errors.merge(compare_lse(lse, expected_lse));
  if (!std::isfinite(expected_lse)) {
    Errors unwritten;
    unwritten.ratio_to_bar = std::numeric_limits<double>::infinity();
    unwritten.missed_rows = 1;
    unwritten.first_miss = "the sequence holds a token that was never written";
    errors.merge(unwritten);
  }
  return errors;
}

double uniform(uint64_t seed, int64_t index, uint64_t stream) {
  return static_cast<double>(hash(seed, static_cast<uint64_t>(index), stream) >> 11) * 0x1p-53;
}

}  // namespace

SampleChooser::SampleChooser(int64_t samples, int64_t total_tokens, uint64_t seed) : seed_(seed) {
  const auto total = static_cast<double>(total_tokens);
  for (int64_t i = 0; i < samples; ++i) {
    // Slices of equal width, one sample each: even, yet not regular.
    const int64_t slices = std::max<int64_t>(i % 2 == 0 ? (samples + 1) / 2 : samples / 2, 1);
    const int64_t slice = i / 2;
    const double share = (static_cast<double>(slice) + uniform(seed, i, 1)) / static_cast<double>(slices);
    const double token = i == 0 ? 0 : i % 2 == 0 ? std::pow(total, share) - 1 : total * share;
    tokens_.push_back(std::clamp<int64_t>(static_cast<int64_t>(token), 0, std::max<int64_t>(total_tokens - 1, 0)));
  }
  std::sort(tokens_.begin(), tokens_.end());
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end()), tokens_.end());
}

std::vector<int64_t> SampleChooser::within(int64_t begin, int64_t end) const {
  return {std::lower_bound(tokens_.begin(), tokens_.end(), begin),
          std::lower_bound(tokens_.begin(), tokens_.end(), end)};
}

int64_t SampleChooser::layer_of(int64_t token, int64_t layers) const {
  return static_cast<int64_t>(hash(seed_, static_cast<uint64_t>(token), 2) % static_cast<uint64_t>(layers));
}

int64_t SampleChooser::first_head_of(int64_t token, int64_t heads) const {
  const int64_t starts = std::max<int64_t>(heads - kVerifiedHeads, 0) + 1;
  return static_cast<int64_t>(hash(seed_, static_cast<uint64_t>(token), 3) % static_cast<uint64_t>(starts));
}

Result<Errors> verify_sample(const DecodeArgs& args, const Mask& mask, int64_t sequence, int64_t first_head) {
  const int64_t heads = std::min(args.q.shape[2] - first_head, kVerifiedHeads);
  const int64_t d_v = args.out.shape[3];
  DecodeArgs one = args;
  one.q = slice(args.q, sequence, 2, first_head, heads);
  one.page_table = slice(args.page_table, sequence);
  one.seqlens = slice(args.seqlens, sequence);
  one.out = Tensor();
  one.lse = Tensor();
  Result<ReferenceResult> reference = reference_decode(one, mask, d_v);
  if (!reference.ok()) return reference.status();

  const auto* out = static_cast<const uint16_t*>(slice(args.out, sequence, 2, first_head, heads).data);
  const auto* lse = static_cast<const float*>(slice(args.lse, sequence, 1, first_head, heads).data);
  Errors errors;
  for (int64_t head = 0; head < heads; ++head) {
    errors.merge(compare_head(out + head * args.out.strides[2], lse[head * args.lse.strides[1]],
                              reference.value().out.data() + head * d_v, reference.value().lse[head], d_v));
  }
  return errors;
}

}  // namespace flash_mla::cli
