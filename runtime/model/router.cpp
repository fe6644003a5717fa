#include "model/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/parallel.h"

namespace flash_mla::runtime {
namespace {

void softmax(std::vector<float>& scores) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  float sum = 0;
  for (float& score : scores) sum += score = std::exp(score - largest);
  for (float& score : scores) score /= sum;
}

/// The numbers of the `count` largest values come first in `order`.
void best_first(std::span<const float> values, int64_t count, std::vector<int32_t>& order) {
  order.resize(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + count, order.end(),
                    [&](int32_t a, int32_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
}

}  // namespace

void Router::keep_best_groups() {
  const int64_t size = config_.routed / config_.groups;
  std::vector<float> group_scores(static_cast<size_t>(config_.groups));
  const bool pairs = config_.router == ExpertsConfig::Router::sigmoid_groups;
  for (int64_t group = 0; group < config_.groups; ++group) {
    const std::span<const float> members(ranked_.data() + group * size, static_cast<size_t>(size));
    best_first(members, pairs ? 2 : 1, order_);
    group_scores[group] = pairs ? members[order_[0]] + members[order_[1]] : members[order_[0]];
  }
  best_first(group_scores, config_.groups_per_token, order_);
  for (int64_t i = config_.groups_per_token; i < config_.groups; ++i) {
    std::fill_n(ranked_.begin() + order_[i] * size, size, -std::numeric_limits<float>::infinity());
  }
}

void Router::choose(std::span<const float> x, std::span<ChosenExpert> chosen) {
  scores_.resize(static_cast<size_t>(config_.routed));
  parallel_for(config_.routed, static_cast<int64_t>(x.size()), [&](int64_t expert) {
    const float* row = weights_.data() + expert * static_cast<int64_t>(x.size());
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += static_cast<double>(row[i]) * x[i];
    scores_[expert] = static_cast<float>(sum);
  });
  const bool sigmoid = config_.router == ExpertsConfig::Router::sigmoid_groups;
  if (sigmoid) {
    for (float& score : scores_) score = 1 / (1 + std::exp(-score));
  } else {
    softmax(scores_);
  }
  ranked_ = scores_;
  for (size_t i = 0; i < bias_.size(); ++i) ranked_[i] += bias_[i];
  if (config_.router != ExpertsConfig::Router::softmax) keep_best_groups();
  best_first(ranked_, config_.per_token, order_);

  float sum = 0;
  for (size_t i = 0; i < chosen.size(); ++i) sum += scores_[order_[i]];
  const float divisor = config_.normalise ? sum + 1e-20f : 1;
  for (size_t i = 0; i < chosen.size(); ++i) {
    chosen[i] = {order_[i], scores_[order_[i]] / divisor * static_cast<float>(config_.scale)};
  }
}

}  // namespace flash_mla::runtime
