// Multi-head latent attention, DeepSeek-V2 (arXiv 2405.04434, section 2.1).
#pragma once

#include <optional>
#include <vector>

#include "files/model_config.h"
#include "model/attention.h"
#include "model/linear.h"
#include "model/norm.h"

namespace flash_mla::runtime {

struct LatentWeights {
  std::optional<Linear> query_down;  ///< width -> query_rank; absent: query_up takes the width itself
  Norm query_norm;
  Linear query_up;             ///< -> heads * (nope + rope)
  Linear latent;               ///< width -> rank + rope
  Norm latent_norm;            ///< of the rank's columns
  Linear expand;               ///< rank -> heads * (nope + value): keys and values of every head
  PackedMatrix absorb_keys;    ///< a head: nope -> rank, the transpose of what expands keys
  PackedMatrix absorb_values;  ///< a head: rank -> value
  Linear output;               ///< heads * value -> width
};

/// Over the cached latent, absorbed: a query is taken to the latent's space, attends there, and its result is taken to
/// the values' space. Segments that are marked so attend expanded instead, which is cheaper for long prompts.
class LatentAttention : public Attention {
 public:
  LatentAttention(const LatentConfig& config, int64_t heads, Precision precision, LatentWeights weights)
      : config_(config), heads_(heads), precision_(precision), weights_(std::move(weights)) {}
  Status apply(const Step& step, int64_t layer, AttentionShared& shared, const float* x, float* y) override;
  [[nodiscard]] int64_t bytes() const override;

 private:
  void project(const Step& step, const AttentionShared& shared, const float* x);
  Status write(const Step& step, int64_t layer);
  Status attend_absorbed(const Step& step, int64_t layer, PagedAttention& paged);
  Status attend_expanded(const Step& step, int64_t layer, const Segment& segment, int64_t first_token,
                         PagedAttention& expanded);

  LatentConfig config_;
  int64_t heads_;
  Precision precision_;
  LatentWeights weights_;
  std::vector<float> low_, queries_, latents_, attended_, values_, expanded_;
  std::vector<std::byte> absorbed_, keys_, head_values_;
  Rounded rounded_;
};

/// The cost model behind the choice: multiplications of both forms for `queries` new tokens over `keys` cached ones.
bool expanding_is_cheaper(const LatentConfig& config, int64_t queries, int64_t keys);

}  // namespace flash_mla::runtime
