// The paged KV cache's bookkeeping: which pages hold which sequence's tokens. Holds no keys itself: the caller owns the
// arrays that decode() and append() address with this class's page table, lengths and slots.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "flash_mla/export.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla {

struct KvCacheGeometry {
  int64_t num_pages = 0;      ///< pages in the pool
  int64_t page_size = 64;     ///< tokens a page
  int64_t max_sequences = 0;  ///< rows of the page table
  int64_t max_tokens = 0;     ///< longest sequence: sets the columns of the page table
};

/// A pool of pages and the sequences that own them. A sequence is a row of the page table, named by its index until it
/// is removed; unused rows have length 0, so the whole table can be handed to decode() as it is, without a copy. One
/// writer at a time. Every operation is O(1) a page and allocates nothing.
class FLASH_MLA_API KvCache {
 public:
  static Result<KvCache> make(const KvCacheGeometry& geometry);
  KvCache(KvCache&&) noexcept;
  KvCache& operator=(KvCache&&) noexcept;
  ~KvCache();

  /// A new, empty sequence: the index of its row. Errors: out_of_pages when all rows are in use.
  Result<int64_t> add_sequence();
  /// Grows a sequence by slots.size() tokens and writes where each goes (page * page_size + offset), as append() takes
  /// it. Errors: not_found, invalid_argument (longer than max_tokens), out_of_pages; nothing changes then.
  Status append_tokens(int64_t sequence, std::span<int64_t> slots);
  /// Frees the sequence and its pages. Errors: not_found.
  Status remove_sequence(int64_t sequence);

  /// Pages that `tokens` more tokens of this sequence need; -1 for an unknown sequence.
  [[nodiscard]] int64_t pages_needed(int64_t sequence, int64_t tokens) const;
  [[nodiscard]] int64_t num_free_pages() const;
  [[nodiscard]] int64_t num_used_pages() const;
  [[nodiscard]] int64_t num_tokens() const;  ///< over all sequences
  [[nodiscard]] const KvCacheGeometry& geometry() const;

  /// [max_sequences, ceil(max_tokens / page_size)] int32, and [max_sequences] int32. Valid until the cache is
  /// destroyed; contents follow the operations above.
  [[nodiscard]] ConstTensor page_table() const;
  [[nodiscard]] ConstTensor seqlens() const;

 private:
  struct State;
  explicit KvCache(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace flash_mla
