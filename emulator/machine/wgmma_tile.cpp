// Compiled with -ffp-contract=fast: products and sums as one instruction, as the order of a tensor core's sums is its
// own.
#include "machine/wgmma.h"

#include <cstddef>

namespace emulator::machine {
namespace {

typedef float Vector __attribute__((vector_size(32), aligned(4), may_alias));

}  // namespace

Tile::Tile(uint32_t n, uint32_t k) : n_(n), k_(k), a_(4 * 2 * k * 4 * kVector), b_(n / 8 * k * 2 * kVector) {}

void Tile::multiply(uint32_t warp, float* const* lanes) const {
  for (uint32_t j = 0; j < n_ / 8; ++j) {
    const float* const b = b_.data() + static_cast<size_t>(j) * k_ * 2 * kVector;
    for (uint32_t half = 0; half < 2; ++half) {
      const float* const a = a_.data() + static_cast<size_t>(warp * 2 + half) * k_ * 4 * kVector;
      Vector sums[4][2];
      float* const even = lanes[4 * j + 2 * half];
      float* const odd = lanes[4 * j + 2 * half + 1];
      for (uint32_t i = 0; i < 4; ++i) {
        sums[i][0] = *reinterpret_cast<const Vector*>(even + i * kVector);
        sums[i][1] = *reinterpret_cast<const Vector*>(odd + i * kVector);
      }
      for (uint32_t k = 0; k < k_; ++k) {
        const Vector b0 = *reinterpret_cast<const Vector*>(b + k * 2 * kVector);
        const Vector b1 = *reinterpret_cast<const Vector*>(b + (k * 2 + 1) * kVector);
        for (uint32_t i = 0; i < 4; ++i) {
          const Vector rows = *reinterpret_cast<const Vector*>(a + (k * 4 + i) * kVector);
          sums[i][0] += rows * b0;
          sums[i][1] += rows * b1;
        }
      }
      for (uint32_t i = 0; i < 4; ++i) {
        *reinterpret_cast<Vector*>(even + i * kVector) = sums[i][0];
        *reinterpret_cast<Vector*>(odd + i * kVector) = sums[i][1];
      }
    }
  }
}

}  // namespace emulator::machine
