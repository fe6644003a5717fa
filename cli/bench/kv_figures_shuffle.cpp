#include "bench/kv_figures_shuffle.h"

#include <bit>

namespace flash_mla::cli {
namespace {

constexpr size_t kSize = 624;
constexpr size_t kShift = 397;

}  // namespace

PythonRandom::PythonRandom(uint32_t seed) : position_(kSize) {
  state_[0] = 19650218u;
  for (uint32_t i = 1; i < kSize; ++i) state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  // Seeding by the array {seed}.
  size_t i = 1;
  for (size_t round = 0; round < kSize; ++round) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + seed;
    if (++i == kSize) state_[0] = state_[kSize - 1], i = 1;
  }
  for (size_t round = 0; round < kSize - 1; ++round) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) - static_cast<uint32_t>(i);
    if (++i == kSize) state_[0] = state_[kSize - 1], i = 1;
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::twist() {
  for (size_t i = 0; i < kSize; ++i) {
    const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kSize] & 0x7fffffffu);
    state_[i] = state_[(i + kShift) % kSize] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
  }
  position_ = 0;
}

uint32_t PythonRandom::next() {
  if (position_ == kSize) twist();
  uint32_t y = state_[position_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

uint32_t PythonRandom::below(uint32_t bound) {
  const int bits = std::bit_width(bound);
  uint32_t drawn = next() >> (32 - bits);
  while (drawn >= bound) drawn = next() >> (32 - bits);
  return drawn;
}

}  // namespace flash_mla::cli
