// The keys and values that a KvCache's pages stand for: arrays of pages, one a layer (two where values lie apart).
#pragma once

#include <cstddef>
#include <vector>

#include "files/model_config.h"
#include "flash_mla/kv_cache.h"
#include "flash_mla/kv_cache_data.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"
#include "model/huge_pages.h"
#include "model/precision.h"

namespace flash_mla::runtime {

class CacheArrays {
 public:
  /// Errors: invalid_argument (more memory than there is).
  static Result<CacheArrays> make(const ModelConfig& model, Precision precision, const KvCacheGeometry& geometry);

  /// [num_pages, page_size, kv_heads, d]: MLA's latent and rope columns, or keys.
  [[nodiscard]] Tensor keys(int64_t layer) const;
  /// [num_pages, page_size, kv_heads, d]; absent with MLA.
  [[nodiscard]] Tensor values(int64_t layer) const;
  /// All of them, for copies on write and snapshots.
  [[nodiscard]] const PageArrays& pages() const { return pages_; }
  [[nodiscard]] int64_t bytes_per_page() const { return pages_.page_bytes(0); }

 private:
  CacheArrays(Precision precision, const KvCacheGeometry& geometry, int64_t heads, int64_t width, bool separate)
      : precision_(precision), geometry_(geometry), heads_(heads), width_(width), separate_(separate) {}
  [[nodiscard]] Tensor view(size_t index) const;

  Precision precision_;
  KvCacheGeometry geometry_;
  int64_t heads_;
  int64_t width_;
  bool separate_;
  std::vector<HugePages> arrays_;
  PageArrays pages_;
};

}  // namespace flash_mla::runtime
