// The keys of a replay: one paged array a layer, filled with random rows that can be computed again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/huge_pages.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"
#include "replay/model.h"
#include "replay/random_rows.h"
#include "replay/scheduler.h"

namespace flash_mla::cli {

struct CacheShape {
  int64_t layers = 0;
  int64_t num_pages = 0;
  int64_t page_size = 0;
  int64_t d = 0;

  [[nodiscard]] int64_t bytes_per_layer() const { return num_pages * page_size * d * 2; }
  [[nodiscard]] int64_t bytes() const { return layers * bytes_per_layer(); }
};

/// Errors: invalid_argument (more than the free memory of this machine).
Status check_memory(const CacheShape& shape);

class LatentCache {
 public:
  /// Unwritten tokens are NaN, so that reading one shows. Errors: invalid_argument (does not fit in memory).
  static Result<LatentCache> make(const CacheShape& shape, uint64_t seed);

  /// Writes the last slots.size() tokens of a sequence that was just admitted: those that it does not share.
  Status write_prompt(const Sequence& sequence, std::span<const int64_t> slots);
  /// Writes each sequence's last token.
  Status write_step(std::span<const Sequence> sequences, std::span<const int64_t> slots);

  /// [num_pages, page_size, 1, d] bfloat16.
  [[nodiscard]] Tensor layer(int64_t index) const;

 private:
  using Array = Memory<uint16_t>;

  LatentCache(const CacheShape& shape, std::vector<Array> layers, uint64_t seed);
  /// Where a token's row is in the pool, and how many of the tokens after it are in the rows after it.
  struct Run {
    const uint16_t* rows = nullptr;
    int64_t count = 0;
  };
  [[nodiscard]] Run rows_from(int64_t request, int64_t layer, int64_t token) const;

  CacheShape shape_;
  std::vector<Array> layers_;
  uint64_t seed_;
  RandomRows pool_;
  std::vector<uint16_t> step_rows_;
};

}  // namespace flash_mla::cli
