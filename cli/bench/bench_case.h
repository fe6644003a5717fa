// What `bench` times: points of a grid, and the work that each of them is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flash_mla/plan.h"

namespace flash_mla::cli {

/// The grid: every combination of the lists.
struct BenchGrid {
  std::vector<int64_t> batch = {1, 8, 64};
  std::vector<int64_t> s_k = {1024, 4096};
  std::vector<int64_t> h_q = {16, 128};
  std::vector<int64_t> s_q = {1, 2};
  std::vector<std::string> lengths = {"uniform", "ragged"};
  std::vector<std::string> cache = {"cold"};
  int64_t h_kv = 1;
  int64_t d = 576;
  int64_t d_v = 512;
  bool separate_v = false;
  int64_t page = 64;
  bool ordered_pages = false;
  Mask mask;
  DType dtype = DType::bfloat16;
};

struct BenchCase {
  DecodeShape shape;
  Mask mask;
  int64_t s_k = 0;      ///< every length, or the mean of them
  bool ragged = false;  ///< lengths drawn as FlashMLA draws them: N(s_k, s_k / 2), at least s_q
  bool cold = true;     ///< KV from memory: copies of it take turns; else from the caches that it fits into
  bool ordered_pages = false;
  std::vector<int32_t> seqlens;

  [[nodiscard]] int64_t tokens() const;
  /// Of the live part of one copy of the KV cache.
  [[nodiscard]] int64_t kv_bytes() const;
};

/// FLOP = 2 h_q s_q s_k (d + d_v) and bytes = s_k h_kv (d + d_v where V is separate) + q + out, over the sequences and
/// in the dtype's size. Causality is not discounted, as FlashMLA counts; a window is (s_k is what the window shows).
struct Work {
  double flop = 0;
  double bytes = 0;
};
Work work_of(const BenchCase& one);

std::vector<BenchCase> make_cases(const BenchGrid& grid, uint64_t seed);

}  // namespace flash_mla::cli
