#include "check/grid.h"

#include <algorithm>

#include "check/normal_table.h"

namespace flash_mla::cli {

std::vector<Family> whole_grid(Extent extent, uint64_t seed) {
  std::vector<Family> families;
  for (auto* part : {flashmla_grid, own_grid, needle_grid}) {
    for (Family& family : part(extent, seed)) families.push_back(std::move(family));
  }
  return families;
}

bool is_for_slow_backends(const DataSpec& data, const Case& one) {
  constexpr int32_t kShort = 600;  // takes in FlashMLA's s_k = 140 with lengths drawn around it
  constexpr double kLittleFlop = 5e7;
  constexpr double kMostFlop = 1e9;
  constexpr uint64_t kOneIn = 8;
  const auto longest = std::max_element(data.seqlens.begin(), data.seqlens.end());
  if (longest == data.seqlens.end() || *longest <= kShort) return true;
  const double flop = flop_of(data, one);
  if (flop <= kLittleFlop) return true;
  const uint64_t name = mix(data.seed, static_cast<uint64_t>(one.h_q * 16 + one.s_q * 2 + (one.causal ? 1 : 0)));
  return name % kOneIn == 0 && flop <= kMostFlop;
}

}  // namespace flash_mla::cli
