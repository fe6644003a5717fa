// Rotary positions (Su et al., RoFormer, 2021) and their stretchings.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "files/model_config.h"

namespace flash_mla::runtime {

/// Angles a position, of each pair of columns: rotary.width / 2 of them.
std::vector<float> rotary_frequencies(const RotaryConfig& rotary);

/// Cosine and sine of a step's tokens, which all layers share.
class Rotary {
 public:
  explicit Rotary(const RotaryConfig& config) : config_(config), frequencies_(rotary_frequencies(config)) {}

  void set_positions(std::span<const int32_t> positions);
  /// Turns config.width columns of `heads` heads of every token; token t's head h begins at
  /// x + t * token_stride + h * head_stride.
  void apply(float* x, int64_t token_stride, int64_t heads, int64_t head_stride) const;

 private:
  RotaryConfig config_;
  std::vector<float> frequencies_;
  std::vector<float> cosines_, sines_;  ///< [tokens, width / 2]
  int64_t tokens_ = 0;
};

}  // namespace flash_mla::runtime
