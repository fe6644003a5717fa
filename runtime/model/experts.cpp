#include "model/experts.h"

#include <algorithm>

#include "common/parallel.h"

namespace flash_mla::runtime {

void ExpertsFeedForward::apply(const float* x, int64_t rows, float* y) {
  visits_.resize(experts_.size());
  for (std::vector<Visit>& visits : visits_) visits.clear();
  chosen_.resize(static_cast<size_t>(per_token_));
  for (int64_t row = 0; row < rows; ++row) {
    router_.choose({x + row * width_, static_cast<size_t>(width_)}, chosen_);
    for (const ChosenExpert& one : chosen_) visits_[one.expert].push_back({row, one.weight});
  }
  sums_.assign(static_cast<size_t>(rows * width_), 0);
  if (shared_ != nullptr) shared_->apply(x, rows, sums_.data());
  for (size_t expert = 0; expert < experts_.size(); ++expert) {
    const std::vector<Visit>& visits = visits_[expert];
    if (visits.empty()) continue;
    inputs_.resize(visits.size() * static_cast<size_t>(width_));
    outputs_.resize(inputs_.size());
    const auto count = static_cast<int64_t>(visits.size());
    parallel_for(count, width_,
                 [&](int64_t i) { std::copy_n(x + visits[i].row * width_, width_, inputs_.data() + i * width_); });
    experts_[expert]->apply(inputs_.data(), count, outputs_.data());
    // A token visits an expert once, so no two of these write to the same row.
    parallel_for(count, width_, [&](int64_t i) {
      const float* from = outputs_.data() + i * width_;
      float* to = sums_.data() + visits[i].row * width_;
      for (int64_t column = 0; column < width_; ++column) to[column] += visits[i].weight * from[column];
    });
  }
  std::copy(sums_.begin(), sums_.end(), y);
}

int64_t ExpertsFeedForward::bytes() const {
  int64_t bytes = shared_ == nullptr ? 0 : shared_->bytes();
  for (const auto& expert : experts_) bytes += expert->bytes();
  return bytes;
}

}  // namespace flash_mla::runtime
