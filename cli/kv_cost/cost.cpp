#include "kv_cost/cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace flash_mla::cli {
namespace {

constexpr Precision kIndexerPrecision{8, 128, 4, true};

int64_t divide_up(int64_t a, int64_t b) {
  return a / b + (a % b != 0);
}

/// The largest x in [0, most] for which fits(x); fits(0) holds, and fits(x) implies fits(x - 1).
template <class Fits>
int64_t largest(int64_t most, Fits&& fits) {
  int64_t low = 0;
  int64_t high = most;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace

int64_t Precision::row_bytes(int64_t width) const {
  if (bits == 16) return 2 * width;
  return divide_up(width * bits, 8) + (scale_group == 0 ? 0 : divide_up(width, scale_group) * scale_bytes);
}

int64_t LayerGroup::token_bytes(const Precision& precision) const {
  switch (kind) {
    case Kind::heads:
      return kv_heads * (precision.row_bytes(key) + precision.row_bytes(value));
    case Kind::latent:
      if (precision.quantise_rope) return precision.row_bytes(key + value);
      return precision.row_bytes(key) + 2 * value;
    case Kind::indexer:
      return kIndexerPrecision.row_bytes(key);
    case Kind::none:
      break;
  }
  return 0;
}

int64_t LayerGroup::held_tokens(int64_t length, int64_t page_size) const {
  const int64_t pages = divide_up(length, page_size);
  if (window == 0) return pages * page_size;
  // The last `window` tokens begin anywhere in a page.
  return std::min(pages, divide_up(window - 1, page_size) + 1) * page_size;
}

int64_t ModelCache::layers_with_cache() const {
  int64_t sum = 0;
  for (const LayerGroup& group : groups) {
    if (group.kind == LayerGroup::Kind::heads || group.kind == LayerGroup::Kind::latent) sum += group.layers;
  }
  return sum;
}

int64_t bytes_per_token(const ModelCache& model, const Precision& precision) {
  int64_t sum = 0;
  for (const LayerGroup& group : model.groups) sum += group.layers * group.token_bytes(precision);
  return sum;
}

int64_t bytes_per_token_past_windows(const ModelCache& model, const Precision& precision) {
  int64_t sum = 0;
  for (const LayerGroup& group : model.groups) {
    if (group.window == 0) sum += group.layers * group.token_bytes(precision);
  }
  return sum;
}

Result<int64_t> cache_bytes(const ModelCache& model, const Precision& precision, const Load& load) {
  int64_t sum = 0;
  bool too_large = load.length > std::numeric_limits<int64_t>::max() - load.page_size;
  for (const LayerGroup& group : model.groups) {
    if (too_large) break;
    int64_t bytes = 0;
    too_large = __builtin_mul_overflow(group.layers * group.token_bytes(precision),
                                       group.held_tokens(load.length, load.page_size), &bytes) ||
                __builtin_mul_overflow(bytes, load.batch, &bytes) || __builtin_add_overflow(sum, bytes, &sum);
  }
  if (!too_large) return sum;
  return Status{
      StatusCode::invalid_argument,
      fmt::format("{} sequences of {} tokens need more bytes than 2^63 - 1: give a smaller --batch or --length",
                  load.batch, load.length)};
}

int64_t longest_length(const ModelCache& model, const Precision& precision, const Load& load, int64_t budget) {
  return largest(kLongestLength, [&](int64_t length) {
    const Result<int64_t> bytes = cache_bytes(model, precision, {load.batch, length, load.page_size});
    return bytes.ok() && bytes.value() <= budget;
  });
}

int64_t largest_batch(const ModelCache& model, const Precision& precision, const Load& load, int64_t budget) {
  return largest(kLargestBatch, [&](int64_t batch) {
    const Result<int64_t> bytes = cache_bytes(model, precision, {batch, load.length, load.page_size});
    return bytes.ok() && bytes.value() <= budget;
  });
}

ModelCache with_kv_heads(const ModelCache& model, int64_t kv_heads) {
  ModelCache other = model;
  other.groups.clear();
  if (kv_heads == 0 || model.head_value == 0) return other;
  for (const LayerGroup& group : model.groups) {
    if (group.kind != LayerGroup::Kind::heads && group.kind != LayerGroup::Kind::latent) continue;
    other.groups.push_back(
        {LayerGroup::Kind::heads, group.name, group.layers, kv_heads, model.head_key, model.head_value, group.window});
  }
  return other;
}

}  // namespace flash_mla::cli
