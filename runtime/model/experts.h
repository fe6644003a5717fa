// A mixture of experts: some that every token passes, and some that it is routed to.
#pragma once

#include <memory>
#include <vector>

#include "model/feed_forward.h"
#include "model/router.h"

namespace flash_mla::runtime {

class ExpertsFeedForward : public FeedForward {
 public:
  /// `shared` may be null.
  ExpertsFeedForward(int64_t width, int64_t per_token, Router router,
                     std::vector<std::unique_ptr<GatedFeedForward>> experts, std::unique_ptr<GatedFeedForward> shared)
      : width_(width),
        per_token_(per_token),
        router_(std::move(router)),
        experts_(std::move(experts)),
        shared_(std::move(shared)) {}
  /// Each expert that is wanted runs once, on all its tokens.
  void apply(const float* x, int64_t rows, float* y) override;
  [[nodiscard]] int64_t bytes() const override;

 private:
  struct Visit {
    int64_t row;
    float weight;
  };

  int64_t width_;
  int64_t per_token_;
  Router router_;
  std::vector<std::unique_ptr<GatedFeedForward>> experts_;
  std::unique_ptr<GatedFeedForward> shared_;
  std::vector<std::vector<Visit>> visits_;
  std::vector<ChosenExpert> chosen_;
  std::vector<float> inputs_, outputs_, sums_;
};

}  // namespace flash_mla::runtime
