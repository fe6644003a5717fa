// Numbers that depend on what they are for, and on nothing else: the same cell of a cache holds the same value wherever
// the cell lies.
#pragma once

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace flash_mla::test {

/// SplitMix64 (Steele, Lea and Flood, 2014).
constexpr uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}
template <class... More>
constexpr uint64_t mix(uint64_t first, uint64_t second, More... more) {
  return mix(mix(first) ^ second, static_cast<uint64_t>(more)...);
}

/// Nearly N(0, 1), at most 3.47: the sum of four uniform numbers (Irwin and Hall, 1927), scaled.
constexpr double normal(uint64_t bits) {
  constexpr double kDeviation = 37837.2;  // of the sum: 65536 / sqrt(3)
  const auto part = [bits](int shift) { return static_cast<double>(bits >> shift & 0xffff); };
  return (part(0) + part(16) + part(32) + part(48) - 2.0 * 65535) / kDeviation;
}

/// 0 to count - 1 in random order (Fisher and Yates, 1938).
inline std::vector<int32_t> shuffled(int64_t count, uint64_t seed) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = count - 1; i > 0; --i) {
    std::swap(order[i], order[mix(seed, static_cast<uint64_t>(i)) % static_cast<uint64_t>(i + 1)]);
  }
  return order;
}

}  // namespace flash_mla::test
