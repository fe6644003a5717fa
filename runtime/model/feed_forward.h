// The feed-forward part of a layer.
#pragma once

#include <cstdint>
#include <vector>

#include "model/linear.h"

namespace flash_mla::runtime {

class FeedForward {
 public:
  FeedForward() = default;
  FeedForward(const FeedForward&) = delete;
  FeedForward& operator=(const FeedForward&) = delete;
  virtual ~FeedForward() = default;
  /// x and y [rows, width]; may be one array. Not by two threads at once.
  virtual void apply(const float* x, int64_t rows, float* y) = 0;
  [[nodiscard]] virtual int64_t bytes() const = 0;  ///< of weights
};

/// SwiGLU (Shazeer, 2020): down(silu(gate(x)) * up(x)).
class GatedFeedForward : public FeedForward {
 public:
  GatedFeedForward(Linear gate, Linear up, Linear down)
      : gate_(std::move(gate)), up_(std::move(up)), down_(std::move(down)) {}
  void apply(const float* x, int64_t rows, float* y) override;
  [[nodiscard]] int64_t bytes() const override { return gate_.bytes() + up_.bytes() + down_.bytes(); }

 private:
  Linear gate_, up_, down_;
  std::vector<float> gated_, lifted_;
};

/// down(gelu(up(x))), with the tanh form of GELU (Hendrycks & Gimpel, 2016), as GPT-2 has it.
class GeluFeedForward : public FeedForward {
 public:
  GeluFeedForward(Linear up, Linear down) : up_(std::move(up)), down_(std::move(down)) {}
  void apply(const float* x, int64_t rows, float* y) override;
  [[nodiscard]] int64_t bytes() const override { return up_.bytes() + down_.bytes(); }

 private:
  Linear up_, down_;
  std::vector<float> lifted_;
};

}  // namespace flash_mla::runtime
