#include "judge.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "require.h"
#include "support/element.h"

namespace flash_mla::fuzz {
namespace {

using test::load;

constexpr double kOutAbsolute = 2 * 8e-4, kOutRelative = 2 * 2.01 / 128, kOutCosine = 2 * 5e-6;
constexpr double kLseAbsolute = 2 * 2e-5, kLseRelative = 2e-6;
constexpr int64_t kLeastColumns = 64;

/// The arrays of a call, by sequence, token and head.
class Call {
 public:
  Call(const DecodeArgs& args, const Mask& mask, int64_t d_v) : args_(args), mask_(mask), d_v_(d_v) {}

  [[nodiscard]] bool ragged() const { return !args_.cu_seqlens_q.absent(); }
  [[nodiscard]] int64_t batch() const { return args_.seqlens.shape[0]; }
  [[nodiscard]] int64_t heads() const { return args_.q.shape[ragged() ? 1 : 2]; }
  [[nodiscard]] int64_t kv_heads() const { return args_.k_cache.shape[2]; }
  [[nodiscard]] int64_t s_k(int64_t sequence) const {
    return integer(args_.seqlens, sequence * args_.seqlens.strides[0]);
  }
  [[nodiscard]] int64_t first_query(int64_t sequence) const {
    if (!ragged()) return sequence * args_.q.shape[1];
    return integer(args_.cu_seqlens_q, sequence * args_.cu_seqlens_q.strides[0]);
  }
  [[nodiscard]] int64_t s_q(int64_t sequence) const { return first_query(sequence + 1) - first_query(sequence); }
  [[nodiscard]] int64_t total_q() const { return first_query(batch()); }

  [[nodiscard]] bool sees(int64_t sequence, int64_t token, int64_t key) const {
    const int64_t end = mask_.causal ? s_k(sequence) - (s_q(sequence) - 1 - token) : s_k(sequence);
    if (key >= end) return false;
    return mask_.window == 0 || key >= end - mask_.window || key < mask_.sinks;
  }
  /// Whether the key's row, and its value's, is finite.
  [[nodiscard]] bool finite(int64_t sequence, int64_t key, int64_t kv_head) const {
    const int64_t page_size = args_.k_cache.shape[1];
    const ConstTensor& table = args_.page_table;
    const int64_t page = integer(table, sequence * table.strides[0] + key / page_size * table.strides[1]);
    const auto row_is_finite = [&](const ConstTensor& cache) {
      const int64_t row = page * cache.strides[0] + key % page_size * cache.strides[1] + kv_head * cache.strides[2];
      for (int64_t i = 0; i < cache.shape[3]; ++i) {
        if (!std::isfinite(load(cache.dtype, cache.data, row + i * cache.strides[3]))) return false;
      }
      return true;
    };
    return row_is_finite(args_.k_cache) && (args_.v_cache.absent() || row_is_finite(args_.v_cache));
  }

  [[nodiscard]] double out(int64_t sequence, int64_t token, int64_t head, int64_t column) const {
    const Tensor& out = args_.out;
    const int64_t row = ragged() ? (first_query(sequence) + token) * out.strides[0] + head * out.strides[1]
                                 : sequence * out.strides[0] + token * out.strides[1] + head * out.strides[2];
    return load(out.dtype, out.data, row + column * out.strides[ragged() ? 2 : 3]);
  }
  [[nodiscard]] double lse(int64_t sequence, int64_t token, int64_t head) const {
    const Tensor& lse = args_.lse;
    return load(lse.dtype, lse.data,
                ragged() ? head * lse.strides[0] + (first_query(sequence) + token) * lse.strides[1]
                         : sequence * lse.strides[0] + head * lse.strides[1] + token * lse.strides[2]);
  }
  [[nodiscard]] int64_t d_v() const { return d_v_; }
  /// Of a score of N(0, 1) numbers, where that is more than usual: float32's rounding grows with it.
  [[nodiscard]] double score_deviation() const {
    const auto d = static_cast<double>(args_.k_cache.shape[3]);
    return std::max(1.0, std::fabs(args_.scale.value_or(0)) * std::sqrt(d));
  }
  [[nodiscard]] bool with_lse() const { return !args_.lse.absent(); }

 private:
  static int64_t integer(const ConstTensor& array, int64_t offset) {
    return static_cast<const int32_t*>(array.data)[offset];
  }

  const DecodeArgs& args_;
  const Mask& mask_;
  int64_t d_v_;
};

enum class Keys { finite, near, own };  // keys that are not finite: none, in the row's sequence and head, seen by it

/// The keys of one sequence and KV head that some query sees and that are not finite.
std::vector<int64_t> bad_keys(const Call& call, int64_t sequence, int64_t kv_head) {
  std::vector<int64_t> bad;
  for (int64_t key = 0; key < call.s_k(sequence); ++key) {
    bool seen = false;
    for (int64_t token = 0; token < call.s_q(sequence) && !seen; ++token) seen = call.sees(sequence, token, key);
    if (seen && !call.finite(sequence, key, kv_head)) bad.push_back(key);
  }
  return bad;
}

Keys classify(const Call& call, int64_t sequence, int64_t token, const std::vector<int64_t>& bad) {
  for (const int64_t key : bad) {
    if (call.sees(sequence, token, key)) return Keys::own;
  }
  return bad.empty() ? Keys::finite : Keys::near;
}

bool fits(double actual, double expected, Keys keys, double absolute, double relative) {
  if (keys != Keys::finite && std::isnan(actual)) return true;
  if (std::isfinite(actual) && std::isfinite(expected)) {
    const double error = std::fabs(actual - expected);
    return error <= absolute || error <= relative * std::fabs(expected);
  }
  return std::isnan(expected) ? std::isnan(actual) : actual == expected;
}

std::string place(int64_t sequence, int64_t token, int64_t head, double actual, double expected) {
  return "sequence " + std::to_string(sequence) + ", query " + std::to_string(token) + ", head " +
         std::to_string(head) + ": " + std::to_string(actual) + ", expected " + std::to_string(expected);
}

void judge_row(const Call& call, int64_t sequence, int64_t token, int64_t head, Keys keys,
               const ReferenceResult& reference) {
  const int64_t query = call.first_query(sequence) + token, heads = call.heads(), d_v = call.d_v();
  const double* expected = &reference.out[(query * heads + head) * d_v];
  double xy = 0, xx = 0, yy = 0;
  for (int64_t column = 0; column < d_v; ++column) {
    const double x = call.out(sequence, token, head, column), y = expected[column];
    if (!fits(x, y, keys, kOutAbsolute, kOutRelative)) broken("out", place(sequence, token, head, x, y));
    xy += x * y, xx += x * x, yy += y * y;
  }
  if (keys == Keys::finite && d_v >= kLeastColumns && yy > 1e-12) {
    const double distance = 1 - 2 * xy / (xx + yy);
    if (distance > kOutCosine) broken("cosine distance", place(sequence, token, head, distance, 0));
  }
  if (!call.with_lse()) return;
  const double expected_lse =
      reference
          .lse[call.ragged() ? head * call.total_q() + query : (sequence * heads + head) * call.s_q(sequence) + token];
  const double lse = call.lse(sequence, token, head);
  if (!fits(lse, expected_lse, keys, kLseAbsolute * call.score_deviation(), kLseRelative)) {
    broken("lse", place(sequence, token, head, lse, expected_lse));
  }
}

}  // namespace

void judge(const DecodeArgs& args, const Mask& mask, int64_t d_v, const ReferenceResult& reference) {
  const Call call(args, mask, d_v);
  const int64_t group = call.heads() / call.kv_heads();
  for (int64_t i = 0; i < call.batch(); ++i) {
    for (int64_t kv_head = 0; kv_head < call.kv_heads(); ++kv_head) {
      const std::vector<int64_t> bad = bad_keys(call, i, kv_head);
      for (int64_t token = 0; token < call.s_q(i); ++token) {
        const Keys keys = classify(call, i, token, bad);
        // Backends take a scale of 0 for a tiny one, which a score of infinity survives and 0 * infinity does not.
        if (keys == Keys::own && args.scale == 0.0) continue;
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
          judge_row(call, i, token, head, keys, reference);
        }
      }
    }
  }
}

}  // namespace flash_mla::fuzz
