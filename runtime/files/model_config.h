// What config.json says of a model, and generation_config.json of how to draw from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flash_mla/status.h"

namespace flash_mla::runtime {

enum class Architecture { deepseek_v2, deepseek_v3, llama, qwen2, qwen3, gpt2 };

/// How positions turn queries and keys. Su et al., RoFormer (2021); YaRN: Peng et al. (2023).
struct RotaryConfig {
  enum class Kind { plain, linear, llama3, yarn };
  Kind kind = Kind::plain;
  int64_t width = 0;  ///< columns of a head that are turned
  double theta = 10000;
  bool interleaved = false;  ///< pairs are columns 2i and 2i + 1; else i and i + width / 2
  double factor = 1;
  double original_positions = 0;
  double low_frequency = 1, high_frequency = 4;  ///< llama3
  double beta_fast = 32, beta_slow = 1;          ///< yarn
  bool truncate = true;
  double attention_factor = 1;  ///< multiplies cosine and sine
};

/// MLA's widths, DeepSeek-V2 (2024), section 2.1.
struct LatentConfig {
  int64_t query_rank = 0;  ///< 0: queries are projected at once
  int64_t rank = 0;        ///< of the latent
  int64_t nope = 0;        ///< columns of a head's key that are not turned
  int64_t rope = 0;
  int64_t value = 0;
};

struct ExpertsConfig {
  enum class Router { softmax, softmax_groups, sigmoid_groups };
  Router router = Router::softmax;
  int64_t first_layer = 0;  ///< those before it have a dense feed-forward part
  int64_t routed = 0;
  int64_t shared = 0;
  int64_t width = 0;  ///< of one expert
  int64_t per_token = 0;
  int64_t groups = 1;
  int64_t groups_per_token = 1;
  bool normalise = false;
  double scale = 1;
};

struct ModelConfig {
  Architecture architecture = Architecture::llama;
  std::string stored_type;  ///< "float32", "bfloat16", "float16"; "" if not said
  int64_t vocabulary = 0;
  int64_t width = 0;  ///< of the residual stream
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_width = 0;  ///< not of MLA
  int64_t feed_forward = 0;
  int64_t positions = 0;
  double norm_epsilon = 1e-6;
  bool tied = false;            ///< the output uses the embedding
  bool attention_bias = false;  ///< of the projections to queries, keys, values (MLA: of the first ones, and the last)
  bool output_bias = false;     ///< of the projection after attention
  bool mlp_bias = false;
  bool head_norm = false;  ///< queries and keys are normalised a head
  double attention_scale = 1;
  std::vector<int64_t> windows;  ///< a layer: 0, or how many of the last tokens are seen
  RotaryConfig rotary;
  std::optional<LatentConfig> latent;
  std::optional<ExpertsConfig> experts;
  std::vector<int32_t> end_tokens;

  /// Cached numbers a token and layer, and what they would be with keys and values of every head.
  [[nodiscard]] int64_t cached_width() const;
  [[nodiscard]] int64_t expanded_width() const;
};

/// Reads a folder's config.json. Errors: io_error; unsupported (architecture, quantised weights, a variant that is not
/// known here), invalid_argument: the message names the file and the key.
Result<ModelConfig> read_model_config(const std::string& folder);

/// How tokens are drawn unless the caller says otherwise.
struct GenerationConfig {
  std::vector<int32_t> end_tokens;
  bool sample = false;
  double temperature = 1;
  int64_t top_k = 0;  ///< 0: all
  double top_p = 1;
};

/// Reads generation_config.json if there is one; end tokens default to the model's. Errors: as above.
Result<GenerationConfig> read_generation_config(const std::string& folder, const ModelConfig& model);

}  // namespace flash_mla::runtime
