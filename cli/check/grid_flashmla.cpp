// FlashMLA's own correctness grid (its tests/test_flash_mla_dense_decoding.py), with lengths that may also fall below
// s_q.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "check/grid.h"
#include "check/normal_table.h"

namespace flash_mla::cli {
namespace {

constexpr int64_t kHeads[] = {1, 3, 9, 63, 64, 126, 128};
constexpr int64_t kKvHeads[] = {1, 2, 3, 8};

double normal(uint64_t seed) {
  const auto uniform = [](uint64_t bits) { return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53; };
  return std::sqrt(-2 * std::log(uniform(mix(seed)))) * std::cos(2 * std::numbers::pi * uniform(mix(seed, 1)));
}

std::vector<int32_t> draw_lengths(int64_t batch, int64_t s_k, bool varlen, bool zeros, uint64_t seed) {
  std::vector<int32_t> lengths(static_cast<size_t>(batch), static_cast<int32_t>(s_k));
  for (size_t i = 0; i < lengths.size(); ++i) {
    const auto mean = static_cast<double>(s_k);
    if (varlen) lengths[i] = static_cast<int32_t>(std::max(1.0, mean + mean / 2 * normal(mix(seed, i))));
    if (zeros && mix(seed, i + lengths.size()) % 2 == 0) lengths[i] = 0;
  }
  return lengths;
}

Family make_family(const char* group, int64_t batch, int64_t s_k, int64_t h_kv, const std::vector<int64_t>& s_q,
                   bool varlen, bool zeros, uint64_t seed) {
  Family family;
  family.data.group = group;
  family.data.seed = mix(mix(mix(seed, static_cast<uint64_t>(batch)), static_cast<uint64_t>(s_k)),
                         static_cast<uint64_t>(h_kv * 2 + varlen));
  family.data.seqlens = draw_lengths(batch, s_k, varlen, zeros, family.data.seed);
  DecodeShape& shape = family.data.shape;
  shape.batch = batch;
  shape.h_kv = h_kv;
  for (int64_t heads : kHeads) {
    if (heads % h_kv != 0) continue;
    for (int64_t queries : s_q) {
      for (bool causal : {false, true}) {
        Case one;
        one.s_q = queries;
        one.h_q = heads;
        one.causal = causal;
        family.cases.push_back(one);
      }
    }
  }
  return family;
}

/// Keeps `count` cases of little work, drawn at random.
void draw_cases(Family& family, size_t count) {
  constexpr double kMostFlop = 1e8;
  std::erase_if(family.cases, [&](const Case& one) { return flop_of(family.data, one) > kMostFlop; });
  for (size_t i = 0; i < std::min(count, family.cases.size()); ++i) {
    std::swap(family.cases[i], family.cases[i + mix(family.data.seed, i) % (family.cases.size() - i)]);
  }
  family.cases.resize(std::min(count, family.cases.size()));
}

/// Makes the family's queries just large enough for its cases.
void fit_queries(Family& family) {
  DecodeShape& shape = family.data.shape;
  shape.s_q = 0;
  shape.h_q = 0;
  for (const Case& one : family.cases) {
    shape.s_q = std::max(shape.s_q, one.s_q);
    shape.h_q = std::max(shape.h_q, one.h_q);
  }
}

}  // namespace

std::vector<Family> flashmla_grid(Extent extent, uint64_t seed) {
  std::vector<Family> families;
  for (int64_t s_k : {20, 140, 4096}) {
    for (int64_t batch : {1, 2, 6, 64}) {
      for (int64_t h_kv : kKvHeads) {
        for (bool varlen : {false, true}) {
          if (extent == Extent::quick && (batch == 64 || (s_k == 4096 && batch > 1))) continue;
          families.push_back(make_family("FlashMLA", batch, s_k, h_kv, {1, 2, 4}, varlen, false, seed));
        }
      }
    }
  }
  const int64_t corner_s_k = extent == Extent::full ? 4096 : 100;
  for (int64_t h_kv : kKvHeads) {
    families.push_back(make_family("FlashMLA corner", 128, corner_s_k, h_kv, {2}, true, true, seed));
  }
  for (Family& family : families) {
    if (extent == Extent::quick) draw_cases(family, 2);
    fit_queries(family);
  }
  std::erase_if(families, [](const Family& family) { return family.cases.empty(); });
  return families;
}

}  // namespace flash_mla::cli
