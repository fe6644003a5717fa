#include "replay/random_rows.h"

#include "common/bfloat16.h"

namespace flash_mla::cli {
namespace {

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15u;

}  // namespace

uint64_t hash(uint64_t seed, uint64_t a, uint64_t b) {
  return mix(mix(mix(seed + kGoldenGamma) + a + kGoldenGamma) + b + kGoldenGamma);
}

RandomRows::RandomRows(int64_t rows, int64_t width, uint64_t seed)
    : rows_(rows), width_(width), values_(static_cast<size_t>(rows * width)) {
  uint64_t state = hash(seed, static_cast<uint64_t>(rows), static_cast<uint64_t>(width));
  for (uint16_t& value : values_) {
    const uint64_t bits = mix(state += kGoldenGamma);
    // The sum of four uniform 16-bit numbers: mean 4 * 32767.5, variance (65536^2 - 1) / 3.
    const uint64_t sum = (bits & 0xffffu) + ((bits >> 16) & 0xffffu) + ((bits >> 32) & 0xffffu) + (bits >> 48);
    constexpr float kMean = 131070.0f;
    constexpr float kInverseDeviation = 2.6429e-5f;
    value = to_bfloat16((static_cast<float>(sum) - kMean) * kInverseDeviation);
  }
}

}  // namespace flash_mla::cli
