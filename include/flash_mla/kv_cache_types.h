// What the KV cache's calls take and return. Units: tokens and pages; the cache knows no bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "flash_mla/export.h"

namespace flash_mla {

struct KvCacheGeometry {
  int64_t num_pages = 0;      ///< pages in the pool
  int64_t page_size = 64;     ///< tokens a page
  int64_t max_sequences = 0;  ///< rows of the page table
  int64_t max_tokens = 0;     ///< longest sequence: sets the columns of the page table
};

/// Pages of one format: a page table of its own over the pool that all groups share. Formats of different size share a
/// pool when their pages have as many bytes: full latents in pages of 64 tokens beside keys of a quarter of that width
/// in pages of 256.
struct KvCacheGroup {
  int64_t page_size = 0;  ///< tokens a page; 0: the geometry's
  int64_t window = 0;     ///< 0: every token stays visible; w > 0: to a query at p only p - w + 1 to p ...
  int64_t sinks = 0;      ///< ... and the first `sinks` tokens of the sequence
};

inline constexpr int kMaxKvCacheGroups = 8;
inline constexpr int kNumKvCachePriorities = 4;

/// 128 bits of a keyed hash.
struct KvCacheHash {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const KvCacheHash&, const KvCacheHash&) = default;
};

struct KvCacheOptions {
  std::vector<KvCacheGroup> groups;  ///< empty: one, of the geometry's page size, without a window; at most 8
  bool prefix_caching = false;       ///< keep finished pages for later sequences that begin with the same tokens
  int64_t watermark_pages = 0;       ///< that admission leaves free for the growth of what already runs
  int64_t max_in_flight_tokens =
      0;                            ///< most tokens appended beyond the computed ones; bounds what reserving a windowed
                                    ///< group costs. 0: unknown, so that such groups reserve as if without a window
  int64_t max_events = 0;           ///< events kept until take_events(); 0: none are recorded
  std::vector<int64_t> tier_pages;  ///< pages of each tier for swapping, fastest first; at most 8
  int64_t max_transfers = 0;        ///< page transfers in flight; 0: as many as a tier of one sequence needs
  std::optional<KvCacheHash> hash_key;  ///< secret of the prefix hash; absent: drawn from the system's random numbers
  int hash_bits = 128;  ///< fewer only to test collisions: hits stay right, as tokens and ancestry are compared too
};

/// Something other than its token that a position depends on, an image's embedding for one. Positions count from the
/// start of the sequence.
struct TokenExtra {
  int64_t first = 0;
  int64_t count = 0;
  uint64_t value = 0;  ///< identifies the content
};

/// What a sequence begins with, and how it is to be treated.
struct SequenceSpec {
  std::span<const int32_t> prompt;     ///< token ids; the pages that hold its beginning already are shared
  std::span<const TokenExtra> extras;  ///< of the prompt
  uint64_t salt = 0;                   ///< sequences of different salt never share pages
  uint64_t adapter = 0;                ///< LoRA adapter or the like; 0: none
  int priority = 0;                    ///< 0 to 3: pages of lower priority are evicted first
  int64_t reserve_tokens = 0;          ///< length up to which growth cannot fail; 0: nothing is reserved
  bool leave_watermark = false;        ///< refuse if prompt or reservation would go below the watermark
};

/// A sequence that has begun: its first `num_computed_tokens` tokens are in shared pages and need no computing.
struct StartedSequence {
  int64_t id = 0;
  int64_t num_computed_tokens = 0;
};

/// Whether a sequence could begin now, and what it would take.
struct Admission {
  bool fits = false;
  int64_t num_computed_tokens = 0;  ///< the prefix found
  int64_t pages_needed = 0;         ///< new ones, over all groups
  int64_t evictable_hits = 0;       ///< pages of the prefix that nobody uses: taking them leaves as many fewer to evict
  int64_t pages_available = 0;      ///< free or evictable, not reserved, the watermark taken off
};

/// The caller's order: copy the first `tokens` tokens of page `from` to page `to`, in every array of the group, before
/// anything is written to `to`, and before the next call that may hand out pages takes effect on the arrays.
struct PageCopy {
  int32_t group = 0;
  int32_t from = 0;
  int32_t to = 0;
  int32_t tokens = 0;
};

/// At most one copy a group.
struct PageCopies {
  int count = 0;
  std::array<PageCopy, kMaxKvCacheGroups> items{};

  [[nodiscard]] std::span<const PageCopy> span() const { return {items.data(), static_cast<size_t>(count)}; }
};

/// Why the last call ended with out_of_pages.
struct OutOfPages {
  int64_t needed = 0;     ///< pages that the call had to allocate
  int64_t free = 0;       ///< pages that held nothing
  int64_t evictable = 0;  ///< pages that held only a cached prefix that nobody used
  int64_t reserved = 0;   ///< of those two, promised to other sequences or to the watermark
};

/// Figures of a cache. Counts of calls and tokens only grow.
struct KvCacheStatistics {
  int64_t num_pages = 0;
  int64_t free_pages = 0;      ///< hold nothing
  int64_t cached_pages = 0;    ///< hold a prefix that nobody uses: evictable
  int64_t used_pages = 0;      ///< referenced by a sequence, a pin or a transfer
  int64_t reserved_pages = 0;  ///< of free and cached ones, promised to sequences
  int64_t sequences = 0;
  int64_t tokens = 0;           ///< over all sequences
  int64_t page_references = 0;  ///< used pages as sequences, pins and transfers count them
  int64_t wasted_tokens = 0;    ///< room of the sequences' last pages that holds no token, over all groups
  int64_t allocations = 0;      ///< pages handed out
  int64_t evictions = 0;        ///< cached pages that were handed out anew
  int64_t copies = 0;           ///< pages copied on write
  int64_t query_tokens = 0;     ///< of the prompts of sequences that began
  int64_t hit_tokens = 0;       ///< of those, found in the cache
  int64_t published_pages = 0;
  int64_t dropped_events = 0;  ///< for which there was no room

  /// Pages that sharing saves.
  [[nodiscard]] int64_t shared_savings() const { return page_references - used_pages; }
  [[nodiscard]] double hit_rate() const {
    return query_tokens == 0 ? 0 : static_cast<double>(hit_tokens) / static_cast<double>(query_tokens);
  }
};

/// In the words of vLLM's KV events: BlockStored, BlockRemoved, AllBlocksCleared.
struct KvCacheEvent {
  enum class Kind : int32_t { stored, removed, cleared };
  Kind kind = Kind::stored;
  int32_t group = 0;
  int32_t page = -1;
  int32_t num_tokens = 0;   ///< in the page
  KvCacheHash hash;         ///< of the page and all before it
  KvCacheHash parent_hash;  ///< stored: of the page before it; for the first page, of salt and adapter
};

/// One page on its way between the pool and a tier. The pool's page stays allocated until the transfer is completed.
struct PageTransfer {
  int64_t id = -1;
  int32_t group = 0;
  int32_t page = -1;   ///< in the pool
  uint32_t epoch = 0;  ///< of that page: changes whenever it is handed out
  int32_t tier = 0;
  int64_t tier_page = -1;  ///< in the tier
};

}  // namespace flash_mla
