#include "bench/bench_case.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace flash_mla::cli {
namespace {

std::vector<int32_t> draw_lengths(const BenchCase& one, uint64_t seed) {
  std::vector<int32_t> lengths(static_cast<size_t>(one.shape.batch), static_cast<int32_t>(one.s_k));
  if (!one.ragged) return lengths;
  std::mt19937_64 random(seed);
  const auto mean = static_cast<double>(one.s_k);
  std::normal_distribution<double> normal(mean, mean / 2);
  for (int32_t& length : lengths) {
    length = static_cast<int32_t>(std::max(normal(random), static_cast<double>(one.shape.s_q)));
  }
  return lengths;
}

/// Tokens of a sequence that its queries look at.
int64_t visible(const BenchCase& one, int64_t s_k) {
  return one.mask.window > 0 ? std::min(s_k, one.mask.window + one.mask.sinks) : s_k;
}

int64_t visible_tokens(const BenchCase& one) {
  return std::accumulate(one.seqlens.begin(), one.seqlens.end(), int64_t{0},
                         [&](int64_t sum, int32_t s_k) { return sum + visible(one, s_k); });
}

int64_t token_bytes(const DecodeShape& shape) {
  return shape.h_kv * (shape.d + (shape.separate_v ? shape.d_v : 0)) * static_cast<int64_t>(size_of(shape.dtype));
}

}  // namespace

int64_t BenchCase::tokens() const {
  return std::accumulate(seqlens.begin(), seqlens.end(), int64_t{0});
}

int64_t BenchCase::kv_bytes() const {
  return visible_tokens(*this) * token_bytes(shape);
}

Work work_of(const BenchCase& one) {
  const DecodeShape& shape = one.shape;
  const auto rows = static_cast<double>(shape.s_q * shape.h_q);
  const auto widths = static_cast<double>(shape.d + shape.d_v);
  Work work;
  work.flop = 2 * rows * static_cast<double>(visible_tokens(one)) * widths;
  work.bytes = static_cast<double>(one.kv_bytes()) +
               static_cast<double>(shape.batch) * rows *
                   static_cast<double>(shape.d * static_cast<int64_t>(size_of(shape.dtype)) +
                                       shape.d_v * static_cast<int64_t>(size_of(shape.out_dtype)));
  return work;
}

std::vector<BenchCase> make_cases(const BenchGrid& grid, uint64_t seed) {
  std::vector<BenchCase> cases;
  for (const std::string& cache : grid.cache) {
    for (const std::string& lengths : grid.lengths) {
      for (int64_t batch : grid.batch) {
        for (int64_t s_k : grid.s_k) {
          for (int64_t h_q : grid.h_q) {
            for (int64_t s_q : grid.s_q) {
              BenchCase one;
              one.shape.dtype = one.shape.out_dtype = grid.dtype;
              one.shape.batch = batch;
              one.shape.s_q = s_q;
              one.shape.h_q = h_q;
              one.shape.h_kv = grid.h_kv;
              one.shape.d = grid.d;
              one.shape.d_v = grid.d_v;
              one.shape.page_size = grid.page;
              one.shape.separate_v = grid.separate_v;
              one.mask = grid.mask;
              one.s_k = s_k;
              one.ragged = lengths == "ragged";
              one.cold = cache == "cold";
              one.ordered_pages = grid.ordered_pages;
              one.seqlens = draw_lengths(one, seed);
              cases.push_back(std::move(one));
            }
          }
        }
      }
    }
  }
  return cases;
}

}  // namespace flash_mla::cli
