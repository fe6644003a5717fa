#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace flash_mla::runtime {

int32_t Sampler::choose(std::span<const float> logits) {
  if (options_.temperature == 0) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  order_.resize(logits.size());
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_sort(order_.begin(), order_.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < order_.size()) {
    order_.resize(static_cast<size_t>(options_.top_k));
  }
  weights_.clear();
  double total = 0;
  for (const int32_t token : order_) {
    weights_.push_back(std::exp((static_cast<double>(logits[token]) - logits[order_[0]]) / options_.temperature));
    total += weights_.back();
  }
  // The token that crosses top_p is kept, so that there is always one.
  double kept = 0;
  size_t count = 0;
  while (count < weights_.size() && (count == 0 || kept < options_.top_p * total)) kept += weights_[count++];
  constexpr double kUnit = 0x1p-53;
  double point = static_cast<double>(random_() >> 11) * kUnit * kept;
  for (size_t i = 0; i + 1 < count; ++i) {
    point -= weights_[i];
    if (point < 0) return order_[i];
  }
  return order_[count - 1];
}

}  // namespace flash_mla::runtime
