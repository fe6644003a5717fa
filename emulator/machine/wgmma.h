// The arithmetic of a warpgroup's matrix instruction, apart from how its operands are found.
#pragma once

#include <cstdint>
#include <vector>

namespace emulator::machine {

/// d (64 x n) += a (64 x k) * b (k x n) in the registers' own layout: register 4 j + 2 h + p of a warp holds, in lane
/// l, the element of row l / 4 + 8 h and column 8 j + 2 (l % 4) + p (PTX ISA 9.0, section 9.7.15.5.1).
class Tile {
 public:
  Tile(uint32_t n, uint32_t k);
  void set_a(uint32_t row, uint32_t k, float value) {
    const uint32_t warp = row / 16, half = row / 8 % 2, pair = row % 8 / 2, odd = row % 2;
    float* const to = a_.data() + (((warp * 2 + half) * k_ + k) * 4 + pair) * kVector + 4 * odd;
    for (uint32_t i = 0; i < 4; ++i) to[i] = value;
  }
  void set_b(uint32_t k, uint32_t column, float value) {
    const uint32_t parity = column % 2, lane = column % 8 / 2;
    float* const to = b_.data() + ((column / 8 * k_ + k) * 2 + parity) * kVector;
    to[lane] = to[lane + 4] = value;
  }
  /// `lanes[i]`: the 32 lanes of accumulator i of warp `warp`.
  void multiply(uint32_t warp, float* const* lanes) const;

 private:
  static constexpr uint32_t kVector = 8;
  uint32_t n_, k_;
  std::vector<float> a_;  // [warp][half][k][4 row pairs][8 lanes]
  std::vector<float> b_;  // [n / 8][k][parity][8 lanes]
};

}  // namespace emulator::machine
