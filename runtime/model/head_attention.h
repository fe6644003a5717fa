// Attention with keys and values a head: MHA, MQA and GQA (Ainslie et al., 2023).
#pragma once

#include <optional>
#include <vector>

#include "files/model_config.h"
#include "model/attention.h"
#include "model/linear.h"
#include "model/norm.h"

namespace flash_mla::runtime {

struct HeadWeights {
  Linear query, key, value, output;
  std::optional<Norm> query_norm, key_norm;  ///< of each head (Qwen3)
};

class HeadAttention : public Attention {
 public:
  /// `turned`: positions are rotary.
  HeadAttention(const ModelConfig& config, int64_t window, bool turned, Precision precision, HeadWeights weights)
      : heads_(config.heads),
        kv_heads_(config.kv_heads),
        head_(config.head_width),
        window_(window),
        turned_(turned),
        precision_(precision),
        weights_(std::move(weights)) {}
  Status apply(const Step& step, int64_t layer, AttentionShared& shared, const float* x, float* y) override;
  [[nodiscard]] int64_t bytes() const override {
    return weights_.query.bytes() + weights_.key.bytes() + weights_.value.bytes() + weights_.output.bytes();
  }

 private:
  int64_t heads_, kv_heads_, head_, window_;
  bool turned_;
  Precision precision_;
  HeadWeights weights_;
  std::vector<float> queries_, keys_, values_;
  Rounded rounded_, rounded_values_;
};

}  // namespace flash_mla::runtime
