// Choosing the next token.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace flash_mla::runtime {

struct SamplingOptions {
  double temperature = 0;  ///< 0: the most likely token (of equal ones the first), and the rest has no effect
  int64_t top_k = 0;       ///< only the k most likely; 0: all
  double top_p = 1;        ///< only the most likely that together reach p (Holtzman et al., 2020); 1: all
  uint64_t seed = 0;       ///< same seed, same logits, same tokens
};

/// Temperature first, then top-k, then top-p, as transformers does it.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {}
  int32_t choose(std::span<const float> logits);

 private:
  SamplingOptions options_;
  std::mt19937_64 random_;
  std::vector<int32_t> order_;
  std::vector<double> weights_;
};

}  // namespace flash_mla::runtime
