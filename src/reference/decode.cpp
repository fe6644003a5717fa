// Attention in plain float64: the specification that every backend is measured against.
//
// For a query row q that sees the set of keys N (core/visibility.h):
//     s_n = scale * sum_i q_i k_ni         lse = log sum_{n in N} exp(s_n)
//     out = sum_{n in N} exp(s_n - lse) v_n
// (Vaswani et al., 2017, equation 1; absorbed MLA: DeepSeek-V2, arXiv 2405.04434, section 2.1, where k_n is the cached
// [latent, rope] row and v_n its latent part.) No keys, or only scores of -inf: out = 0, lse = -inf. A finite maximum
// is subtracted before exp, which changes nothing but the range.
#include <cmath>
#include <limits>

#include "core/element.h"
#include "core/error.h"
#include "core/problem.h"

namespace flash_mla {

namespace {

double element(const ConstTensor& tensor, int64_t offset) {
  return core::load_element(tensor.data, tensor.dtype, offset);
}

/// Offset of column 0 of a key's row in a cache.
int64_t cache_row(const core::Problem& problem, const ConstTensor& cache, int64_t sequence, int64_t key,
                  int64_t kv_head) {
  const int64_t page = problem.page(sequence, key / problem.shape.page_size);
  return page * cache.strides[0] + (key % problem.shape.page_size) * cache.strides[1] + kv_head * cache.strides[2];
}

void attend(const core::Problem& problem, const Mask& mask, int64_t sequence, int64_t token, int64_t head, double* out,
            double& lse) {
  const DecodeShape& shape = problem.shape;
  const ConstTensor& v_cache = shape.separate_v ? problem.v_cache : problem.k_cache;
  const int64_t kv_head = head / problem.group();
  const int64_t q_row = problem.sequence_offset(problem.q, sequence) + token * problem.token_stride(problem.q) +
                        head * problem.head_stride(problem.q);
  const core::KeyRange keys = core::visible_keys(mask, problem.s_k(sequence), problem.s_q(sequence), token, token);

  std::vector<double> scores(static_cast<size_t>(keys.size()));
  double max = -std::numeric_limits<double>::infinity();
  for (int64_t n = 0; n < keys.size(); ++n) {
    const int64_t k_row = cache_row(problem, problem.k_cache, sequence, keys.key(n), kv_head);
    double dot = 0;
    for (int64_t i = 0; i < shape.d; ++i) dot += element(problem.q, q_row + i) * element(problem.k_cache, k_row + i);
    scores[n] = problem.scale * dot;
    max = std::fmax(max, scores[n]);
  }
  std::fill(out, out + shape.d_v, 0.0);
  lse = -std::numeric_limits<double>::infinity();
  const double shift = std::isfinite(max) ? max : 0;
  double sum = 0;
  for (int64_t n = 0; n < keys.size(); ++n) {
    const int64_t v_row = cache_row(problem, v_cache, sequence, keys.key(n), kv_head);
    const double weight = std::exp(scores[n] - shift);
    sum += weight;
    for (int64_t i = 0; i < shape.d_v; ++i) out[i] += weight * element(v_cache, v_row + i);
  }
  if (sum == 0) {
    std::fill(out, out + shape.d_v, 0.0);
    return;
  }
  for (int64_t i = 0; i < shape.d_v; ++i) out[i] /= sum;
  lse = shift + std::log(sum);
}

}  // namespace

Result<ReferenceResult> reference_decode(const DecodeArgs& args, const Mask& mask, int64_t d_v) {
  core::Problem problem;
  FLASH_MLA_RETURN_IF_ERROR(core::check_mask(mask));
  FLASH_MLA_RETURN_IF_ERROR(core::read_arrays(args, d_v, false, problem));
  FLASH_MLA_RETURN_IF_ERROR(core::check_contents(problem, mask));

  const int64_t h_q = problem.shape.h_q;
  ReferenceResult result;
  result.out.resize(static_cast<size_t>(problem.total_q * h_q * d_v));
  result.lse.resize(static_cast<size_t>(problem.total_q * h_q));
  for (int64_t sequence = 0; sequence < problem.shape.batch; ++sequence) {
    const int64_t s_q = problem.s_q(sequence);
    const int64_t first = problem.first_query(sequence);
    for (int64_t token = 0; token < s_q; ++token) {
      for (int64_t head = 0; head < h_q; ++head) {
        const int64_t out_row = (first + token) * h_q + head;
        const int64_t lse_at =
            problem.ragged ? head * problem.total_q + first + token : (sequence * h_q + head) * s_q + token;
        attend(problem, mask, sequence, token, head, &result.out[out_row * d_v], result.lse[lse_at]);
      }
    }
  }
  return result;
}

}  // namespace flash_mla
