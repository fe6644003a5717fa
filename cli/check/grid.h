// The cases that `check` runs.
#pragma once

#include <cstdint>
#include <vector>

#include "check/case.h"

namespace flash_mla::cli {

enum class Extent {
  quick,  ///< a few cases of every group, each of little work: for tests
  full,
};

/// FlashMLA's dense grid, 2,304 cases, and its 32 corner cases.
std::vector<Family> flashmla_grid(Extent extent, uint64_t seed);
/// What FlashMLA's grid leaves out: page sizes, widths, GQA, windows, ragged q, strides, dtypes, plans.
std::vector<Family> own_grid(Extent extent, uint64_t seed);
/// One key that outweighs all others, at every position of a sequence in turn: so at every page and split border, at
/// the first and last position, and at the last visible and first hidden one.
std::vector<Family> needle_grid(Extent extent, uint64_t seed);

std::vector<Family> whole_grid(Extent extent, uint64_t seed);

/// Whether a backend without SIMD runs this case: all short sequences, and drawn cases of little work among the long
/// ones.
bool is_for_slow_backends(const DataSpec& data, const Case& one);

}  // namespace flash_mla::cli
