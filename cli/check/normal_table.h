// Many normal deviates, cheaply: rows are cut from a table at places that a hash chooses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "flash_mla/tensor.h"

namespace flash_mla::cli {

/// SplitMix64 (Steele, Lea and Flood, 2014): neighbouring numbers become unrelated ones.
constexpr uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}
constexpr uint64_t mix(uint64_t a, uint64_t b) {
  return mix(mix(a) ^ b);
}

/// Writes `value` as an element of `dtype`, rounded to nearest.
void store(DType dtype, void* data, int64_t index, double value);
/// Reads an element of `dtype`.
double load(DType dtype, const void* data, int64_t index);

class NormalTable {
 public:
  /// N(0, 1) * deviation, rounded to `dtype`; the same for the same seed on every machine.
  NormalTable(DType dtype, double deviation, uint64_t seed);
  /// Copies `count` (at most 1024) deviates that `row` stands for.
  void copy_row(uint64_t row, int64_t count, std::byte* to) const;

 private:
  size_t element_;
  std::vector<std::byte> values_;
};

}  // namespace flash_mla::cli
