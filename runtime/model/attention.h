// The attention part of a layer.
#pragma once

#include <cstdint>

#include "flash_mla/status.h"
#include "model/paged_attention.h"
#include "model/rotary.h"
#include "model/step.h"

namespace flash_mla::runtime {

/// What the attention of all layers shares.
struct AttentionShared {
  Rotary rotary;
  PagedAttention paged;     ///< over the cache as it is
  PagedAttention expanded;  ///< MLA: keys and values of every head, of one sequence
};

class Attention {
 public:
  Attention() = default;
  Attention(const Attention&) = delete;
  Attention& operator=(const Attention&) = delete;
  virtual ~Attention() = default;
  /// Writes the new tokens' keys to the cache and attends. x and y [step.num_tokens(), width].
  virtual Status apply(const Step& step, int64_t layer, AttentionShared& shared, const float* x, float* y) = 0;
  [[nodiscard]] virtual int64_t bytes() const = 0;  ///< of weights that a token reads
};

}  // namespace flash_mla::runtime
