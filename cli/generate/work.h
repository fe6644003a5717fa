// What a token costs, by formula: operations and bytes, with a KV cache and without.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "files/model_config.h"

namespace flash_mla::cli {

/// Of one model step that runs `queries` tokens at the end of a sequence of `length`.
struct Work {
  double attention_flop = 0;  ///< 2 queries keys heads (d + d_v) a layer, as the cache's form has it
  double weight_flop = 0;     ///< 2 a weight and token
  double cache_bytes = 0;     ///< keys and values read
};

/// Weights that a token is multiplied with: of the experts only those that it is routed to.
double weights_per_token(const runtime::ModelConfig& model);

/// `element`: bytes of a cached number.
Work work_of(const runtime::ModelConfig& model, int64_t queries, int64_t length, int64_t element);

/// A form of the same model's cache.
struct CacheForm {
  std::string name;     ///< "MHA", "GQA", "MQA", "MLA"
  std::string formula;  ///< "2 x 16 heads x 128"
  int64_t width = 0;    ///< numbers a token and layer
};

/// The forms that this model's cache could have: with keys and values of every head, of groups of heads, of one, and
/// its latent where it has one. The model's own comes first.
std::vector<CacheForm> cache_forms(const runtime::ModelConfig& model);

}  // namespace flash_mla::cli
