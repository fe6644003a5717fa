// Rows of random bfloat16 that cost nothing to "compute": windows of one large pool, chosen by hash.
#pragma once

#include <cstdint>
#include <vector>

namespace flash_mla::cli {

/// A well-mixed function of its arguments.
uint64_t hash(uint64_t seed, uint64_t a, uint64_t b);

/// `rows` rows of `width` values of about N(0, 1), from the seed alone.
class RandomRows {
 public:
  RandomRows(int64_t rows, int64_t width, uint64_t seed);

  [[nodiscard]] int64_t rows() const { return rows_; }
  [[nodiscard]] const uint16_t* row(int64_t index) const { return values_.data() + index * width_; }

 private:
  int64_t rows_;
  int64_t width_;
  std::vector<uint16_t> values_;
};

}  // namespace flash_mla::cli
