// The attention geometry of models that use MLA, in its absorbed form: what one decode call sees.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "flash_mla/status.h"

namespace flash_mla::cli {

struct ModelGeometry {
  const char* name;
  int64_t layers;
  int64_t heads;   ///< query heads; they share one latent KV head
  int64_t latent;  ///< kv_lora_rank: d_v, and the first columns of a key
  int64_t rope;    ///< qk_rope_head_dim: the key's last columns
  double scale;    ///< softmax scale: (nope + rope)^-0.5, times YaRN's m^2 where the model card gives it

  [[nodiscard]] int64_t d() const { return latent + rope; }
  [[nodiscard]] int64_t d_v() const { return latent; }
  /// Of one token in one layer, bfloat16.
  [[nodiscard]] int64_t kv_bytes() const { return 2 * d(); }
};

std::span<const ModelGeometry> models();
/// Errors: not_found; the message lists the names.
Result<ModelGeometry> find_model(std::string_view name);

}  // namespace flash_mla::cli
