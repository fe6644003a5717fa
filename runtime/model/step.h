// One pass through the model: new tokens of one or more sequences.
#pragma once

#include <cstdint>
#include <vector>

#include "flash_mla/kv_cache.h"
#include "model/cache_arrays.h"

namespace flash_mla::runtime {

/// New tokens of one sequence. Its slots have been taken, so its length in the cache is first + count.
struct Segment {
  int64_t row = 0;    ///< in the cache's page table
  int64_t first = 0;  ///< position of the first new token
  int64_t count = 0;
  bool expanded = false;  ///< MLA: attend with keys and values of every head instead of the latent
};

struct Step {
  std::vector<Segment> segments;      ///< those that are not expanded first, in the order of their rows
  std::vector<int32_t> tokens;        ///< of all segments, one after another
  std::vector<int32_t> positions;     ///< of each token
  std::vector<int64_t> slots;         ///< in the cache, of each token
  std::vector<int64_t> logit_tokens;  ///< indices into tokens: after which of them logits are wanted
  const KvCache* cache = nullptr;
  const CacheArrays* arrays = nullptr;

  [[nodiscard]] int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
};

}  // namespace flash_mla::runtime
