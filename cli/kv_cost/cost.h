// What a KV cache costs: pure arithmetic over layers, lengths and precisions.
//   MHA, MQA, GQA: batch * length * layers * kv_heads * (key width + value width) * bytes
//   MLA:           batch * length * layers * (latent + rope) * bytes
// with quantised elements and their scales in place of bytes, and lengths rounded up to pages.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flash_mla/status.h"

namespace flash_mla::cli {

/// Elements of a cached row and their scales.
struct Precision {
  int64_t bits = 16;           ///< 16, 8 or 4
  int64_t scale_group = 128;   ///< quantised elements that share a scale; 0: no scales in the cache
  int64_t scale_bytes = 4;     ///< of one scale: float32
  bool quantise_rope = false;  ///< else the rope columns of MLA stay at 16 bits, as in FlashMLA's format of 656 bytes

  /// Of one row of `width` elements, quantised on its own.
  [[nodiscard]] int64_t row_bytes(int64_t width) const;
};

/// Equal layers.
struct LayerGroup {
  enum class Kind { heads, latent, indexer, none };

  Kind kind = Kind::heads;
  std::string name;  ///< "full attention", "sliding window", "indexer keys" ...
  int64_t layers = 0;
  int64_t kv_heads = 0;  ///< heads
  int64_t key = 0;       ///< heads: width of a key; latent: of the latent; indexer: of its key
  int64_t value = 0;     ///< heads: width of a value; latent: of the rope columns
  int64_t window = 0;    ///< tokens that stay; 0: all

  /// Of one token in one layer. Indexer keys are 8 bits with a float32 scale for each 128, whatever the precision.
  [[nodiscard]] int64_t token_bytes(const Precision& precision) const;
  /// Tokens whose memory a sequence of `length` holds: whole pages; with a window, as many pages as it can lie across.
  [[nodiscard]] int64_t held_tokens(int64_t length, int64_t page_size) const;

  bool operator==(const LayerGroup&) const = default;
};

struct ModelCache {
  std::string name;
  std::string attention;  ///< "MHA", "MQA", "GQA" or "MLA", with "windows" or "mixed" where layers differ
  int64_t query_heads = 0;
  int64_t head_key = 0;    ///< width of a head's key and value if the cache were that of multi-head attention
  int64_t head_value = 0;  ///< 0: not known
  std::vector<LayerGroup> groups;

  [[nodiscard]] int64_t layers_with_cache() const;
};

struct Load {
  int64_t batch = 1;
  int64_t length = 1;      ///< tokens of each sequence
  int64_t page_size = 64;  ///< 1: no rounding
};

/// One token in all layers, while it is inside every window.
int64_t bytes_per_token(const ModelCache& model, const Precision& precision);
/// What one more token adds once all windows are full.
int64_t bytes_per_token_past_windows(const ModelCache& model, const Precision& precision);

/// Errors: invalid_argument (more bytes than an int64 counts).
Result<int64_t> cache_bytes(const ModelCache& model, const Precision& precision, const Load& load);

inline constexpr int64_t kLongestLength = int64_t{1} << 40;  ///< tokens
inline constexpr int64_t kLargestBatch = int64_t{1} << 40;
inline constexpr int64_t kLargestPage = int64_t{1} << 20;  ///< tokens
inline constexpr int64_t kLargestScaleGroup = int64_t{1} << 20;
inline constexpr int64_t kLargestScale = 8;  ///< bytes

/// The longest sequences of which `load.batch` fit into `budget` bytes: 0 if none, kLongestLength where windows bound
/// the cost. `load.length` is not looked at.
int64_t longest_length(const ModelCache& model, const Precision& precision, const Load& load, int64_t budget);
/// How many sequences of `load.length` fit into `budget` bytes, up to kLargestBatch. `load.batch` is not looked at.
int64_t largest_batch(const ModelCache& model, const Precision& precision, const Load& load, int64_t budget);

/// The same model with `kv_heads` heads of keys and values (query_heads: MHA, 1: MQA) in place of what it caches.
/// Windows stay. kv_heads 0 and models whose head widths are not known give no layers.
ModelCache with_kv_heads(const ModelCache& model, int64_t kv_heads);

}  // namespace flash_mla::cli
