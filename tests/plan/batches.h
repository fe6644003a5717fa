// Batches to plan for.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "plan/split.h"

namespace flash_mla::plan::test {

using Random = std::mt19937_64;

enum class Lengths {
  uniform,
  ragged,     ///< normal, mean and half of it as deviation, at least 1
  wide,       ///< 1 to twice the mean
  one_giant,  ///< of 100 times the mean, the others 1 to 64 tokens
  all_zero,
  some_zero,  ///< half of them, the others uniform
  most,       ///< ragged, 2^31 tokens in total
};
inline constexpr std::array kLengths = {Lengths::uniform,  Lengths::ragged,    Lengths::wide, Lengths::one_giant,
                                        Lengths::all_zero, Lengths::some_zero, Lengths::most};

inline constexpr std::array kNumParts = {1, 2, 3, 4, 7, 8, 16, 32, 64, 114, 132, 256};
inline constexpr int kMaxBatch = 512;

/// Costs in ns as one CPU core has them: a key 80 for 16 heads, 640 for 128; a unit 3000 to 10000, a split 3000 to
/// 30000.
std::vector<CostModel> cost_models();
inline constexpr std::array kTokenCosts = {80.0, 640.0};

std::vector<Item> draw(Lengths lengths, int batch, double mean, double token_cost, Random& random);

/// 1 to 512, every third time at most 16, every third time 0.5 to 3.5 times the number of parts.
int draw_batch(int num_parts, Random& random);
/// 1 to 200,000 tokens, every order of magnitude equally often.
double draw_mean(Random& random);

const char* name_of(Lengths lengths);
std::string describe(std::span<const Item> items, int num_parts, const CostModel& model);

}  // namespace flash_mla::plan::test
