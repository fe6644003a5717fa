#include "model/cache_arrays.h"

#include "common/error.h"

namespace flash_mla::runtime {

Result<CacheArrays> CacheArrays::make(const ModelConfig& model, Precision precision, const KvCacheGeometry& geometry) {
  const bool separate = !model.latent;
  const int64_t width = separate ? model.head_width : model.latent->rank + model.latent->rope;
  CacheArrays arrays(precision, geometry, model.kv_heads, width, separate);
  const int64_t token_bytes = model.kv_heads * width * bytes_of(precision);
  const int64_t page_bytes = geometry.page_size * token_bytes;
  const int64_t count = model.layers * (separate ? 2 : 1);
  std::vector<PageArray> described;
  for (int64_t i = 0; i < count; ++i) {
    const auto bytes = static_cast<size_t>(geometry.num_pages * page_bytes);
    arrays.arrays_.push_back(allocate_huge_pages(bytes));
    if (arrays.arrays_.back() == nullptr) {
      return invalid("the KV cache needs {} arrays of {} bytes, which this machine does not have", count, bytes);
    }
    described.push_back({arrays.arrays_.back().get(), geometry.num_pages, page_bytes, 0, token_bytes, 0});
  }
  Result<PageArrays> pages = PageArrays::make(std::move(described));
  if (!pages.ok()) return pages.status();
  arrays.pages_ = std::move(pages).value();
  return arrays;
}

Tensor CacheArrays::view(size_t index) const {
  return {arrays_[index].get(), dtype_of(precision_), {geometry_.num_pages, geometry_.page_size, heads_, width_}};
}

Tensor CacheArrays::keys(int64_t layer) const {
  return view(static_cast<size_t>(separate_ ? 2 * layer : layer));
}

Tensor CacheArrays::values(int64_t layer) const {
  return separate_ ? view(static_cast<size_t>(2 * layer + 1)) : Tensor();
}

}  // namespace flash_mla::runtime
