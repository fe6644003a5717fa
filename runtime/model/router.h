// Which experts a token goes to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "files/model_config.h"

namespace flash_mla::runtime {

struct ChosenExpert {
  int32_t expert = 0;
  float weight = 0;
};

/// DeepSeek's routers, in float32. V2 (2024, section 2.2): softmax, the best `per_token` experts, perhaps of the groups
/// with the best expert only. V3 (2024, section 2.1.2): sigmoid; experts are chosen by score plus bias, of the groups
/// whose two best add up to most; their weights are the scores without bias. Equal scores: the lower number first.
class Router {
 public:
  Router() = default;
  /// `weights` [routed, width]; `bias` [routed] or empty.
  Router(const ExpertsConfig& config, std::vector<float> weights, std::vector<float> bias)
      : config_(config), weights_(std::move(weights)), bias_(std::move(bias)) {}

  /// The config.per_token experts of a token x [width].
  void choose(std::span<const float> x, std::span<ChosenExpert> chosen);

 private:
  void keep_best_groups();

  ExpertsConfig config_;
  std::vector<float> weights_, bias_;
  std::vector<float> scores_, ranked_;
  std::vector<int32_t> order_;
};

}  // namespace flash_mla::runtime
