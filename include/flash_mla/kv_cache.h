// The paged KV cache's bookkeeping: which pages hold which sequence's tokens. Holds no keys itself: the caller owns the
// arrays that decode() and append() address with this class's page table, lengths and slots.
//
// Words that engines know: a page is a block, page_table() the block table, slots the slot mapping (-1: skip), computed
// tokens those whose keys have been written. The design follows PagedAttention (Kwon et al., SOSP 2023) and vLLM's
// block manager; docs/kv_cache.md lists the behaviours and their tests.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "flash_mla/export.h"
#include "flash_mla/kv_cache_types.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla {

class PageArrays;
class SequenceHandle;

namespace kv_cache {
struct Manager;
struct Access;
}  // namespace kv_cache

/// A pool of pages and the sequences that own them. A sequence has a row in the page table; unused rows have length 0,
/// so the whole table can be handed to decode() as it is, without a copy. Ids of removed sequences stay invalid though
/// their row serves again (2^31 times), so that a use after removal is refused.
///
/// Threads: one writer at a time, and every call that is not marked "any thread" counts as one. See LockedKvCache for
/// several writers. Every operation is O(1) a page; those that succeed allocate nothing.
///
/// Errors: every refused call changes nothing. not_found: no such sequence; invalid_argument; out_of_pages: see
/// shortage(); corrupt: verify() or an operation found the books wrong, and this cache serves no more.
class FLASH_MLA_API KvCache {
 public:
  static Result<KvCache> make(const KvCacheGeometry& geometry) { return make(geometry, KvCacheOptions()); }
  static Result<KvCache> make(const KvCacheGeometry& geometry, const KvCacheOptions& options);
  KvCache(KvCache&&) noexcept;
  KvCache& operator=(KvCache&&) noexcept;
  ~KvCache();

  // ---------------------------------------------------------------------------------------------- sequences

  /// A new, empty sequence: its id. Errors: out_of_pages when all rows are in use.
  Result<int64_t> add_sequence();
  /// A new sequence that begins with the longest cached prefix of spec.prompt: a multiple of the page size, and never
  /// the last token, whose query the caller still has to run. Errors: out_of_pages (rows; pages if something is to be
  /// reserved or the watermark left), invalid_argument.
  Result<StartedSequence> add_sequence(const SequenceSpec& spec);
  /// Frees the sequence: pages that nobody else uses are free, or cached if they were published, the last ones to be
  /// evicted first. Errors: not_found, also for a second removal.
  Status remove_sequence(int64_t sequence);

  /// Grows a sequence by slots.size() tokens and writes where each goes in group 0 (page * page_size + offset), as
  /// append() takes it. The tokens' ids are unknown, so that pages from here on are not published. Errors: not_found,
  /// invalid_argument (longer than max_tokens; frozen; the last page is shared, see grow()), out_of_pages.
  Status append_tokens(int64_t sequence, std::span<int64_t> slots);
  /// The same for tokens whose ids are known, `slots` as long as `tokens` or empty. A last page that is shared and not
  /// full is replaced: the copies that this takes come back, and have to be carried out before the slots are written.
  /// An extra counts for those of these tokens that it covers.
  Result<PageCopies> grow(int64_t sequence, std::span<const int32_t> tokens, std::span<int64_t> slots,
                          std::span<const TokenExtra> extras = {});
  /// The same without ids.
  Result<PageCopies> grow(int64_t sequence, int64_t num_tokens, std::span<int64_t> slots);
  /// The first `num_tokens` tokens have been written and are final (no drafts). Publishes the pages that they fill, and
  /// frees the pages that leave a window: those of tokens up to num_tokens - window. Errors: invalid_argument (fewer
  /// than before, more than the sequence has).
  Status mark_computed(int64_t sequence, int64_t num_tokens);
  /// Shortens a sequence, as when drafts are rejected. Pages that it alone had lose their hashes and are free. Errors:
  /// invalid_argument (longer than it is; or a window would need pages that have been freed).
  Status rewind(int64_t sequence, int64_t num_tokens);
  /// A second sequence of the same tokens in the same pages. Errors: out_of_pages (rows), invalid_argument (swapped).
  Result<int64_t> fork(int64_t sequence);
  /// No more growth or rewinding: for a shared prompt that forks begin from.
  Status freeze(int64_t sequence);
  /// A handle that removes the sequence when it goes. Errors: not_found.
  Result<SequenceHandle> hold(int64_t sequence);

  // ---------------------------------------------------------------------------------------------- admission

  /// What add_sequence(spec) and growing to max(prompt, reserve_tokens) tokens would take. Hits that nobody uses count
  /// as pages to allocate. Errors: invalid_argument.
  Result<Admission> can_admit(const SequenceSpec& spec);
  /// Whether grow(sequence, num_tokens) would find its pages. False for an unknown or swapped sequence.
  [[nodiscard]] bool can_allocate(int64_t sequence, int64_t num_tokens) const;
  /// Promises the pages for growth to `num_tokens` tokens, so that it cannot fail (copies on write apart). A smaller
  /// number gives pages back; 0 all. Errors: out_of_pages, invalid_argument (more than max_tokens).
  Status reserve(int64_t sequence, int64_t num_tokens);
  /// Pages that `tokens` more tokens of this sequence need, over all groups; -1 for an unknown sequence.
  [[nodiscard]] int64_t pages_needed(int64_t sequence, int64_t tokens) const;
  /// Figures of the last call that ended with out_of_pages.
  [[nodiscard]] const OutOfPages& shortage() const;

  // ---------------------------------------------------------------------------------------------- prefix cache

  /// Tokens of the longest cached prefix, as add_sequence(spec) would take it. Changes nothing.
  Result<int64_t> find_prefix(const SequenceSpec& spec);
  /// Keeps the cached prefix of spec from eviction until it is unpinned as often: the tokens pinned. Errors:
  /// invalid_argument.
  Result<int64_t> pin_prefix(const SequenceSpec& spec);
  /// Undoes one pin_prefix() of `num_tokens` tokens. Errors: invalid_argument (not pinned).
  Status unpin_prefix(const SequenceSpec& spec, int64_t num_tokens);
  /// Forgets all cached prefixes. Errors: invalid_argument while any page is in use.
  Status reset_prefix_cache();
  /// Forgets a cached page that nobody uses. Errors: invalid_argument (in use, not cached, out of range).
  Status evict_page(int64_t page);

  // ---------------------------------------------------------------------------------------------- swapping

  /// Begins to move the pages that only this sequence has to a tier: writes the transfers that the caller has to carry
  /// out, and returns their number. Until the sequence is swapped in again its length in seqlens() is 0 and it neither
  /// grows nor forks. Its pages are handed out again only when each transfer has been completed. Errors: out_of_pages
  /// (the tier is full, or `transfers` too short), invalid_argument (already swapped; no such tier).
  Result<int64_t> swap_out(int64_t sequence, int64_t tier, std::span<PageTransfer> transfers);
  /// Begins to bring it back. It runs again once all transfers are completed. Errors: out_of_pages, invalid_argument
  /// (not swapped, or transfers of it under way).
  Result<int64_t> swap_in(int64_t sequence, std::span<PageTransfer> transfers);
  /// The transfer's bytes have arrived: releases what it held. Errors: not_found (unknown, completed before),
  /// invalid_argument (the epoch is another: these bytes belong to nobody).
  Status complete_transfer(const PageTransfer& given);
  /// No transfer of the sequence is under way and it is in the pool. False for an unknown sequence.
  [[nodiscard]] bool is_resident(int64_t sequence) const;
  [[nodiscard]] int64_t num_free_tier_pages(int64_t tier) const;

  // ---------------------------------------------------------------------------------------------- views

  [[nodiscard]] int64_t num_free_pages() const;  ///< free or evictable; any thread
  [[nodiscard]] int64_t num_used_pages() const;  ///< any thread
  [[nodiscard]] int64_t num_tokens() const;      ///< over all sequences; any thread
  [[nodiscard]] const KvCacheGeometry& geometry() const;
  [[nodiscard]] int64_t num_groups() const;
  [[nodiscard]] const KvCacheGroup& group(int64_t index) const;

  /// The row of a sequence in the tables below; -1 for an unknown one.
  [[nodiscard]] int64_t row_of(int64_t sequence) const;
  /// Tokens, and those of them marked computed; -1 for an unknown sequence.
  [[nodiscard]] int64_t length(int64_t sequence) const;
  [[nodiscard]] int64_t num_computed_tokens(int64_t sequence) const;
  /// [max_sequences, ceil(max_tokens / page_size)] int32, and [max_sequences] int32. Valid until the cache is
  /// destroyed; contents follow the operations above. Entries past a length and those of pages that left the window are
  /// -1. While another thread writes, read with read_sequence() instead.
  [[nodiscard]] ConstTensor page_table(int64_t group = 0) const;
  [[nodiscard]] ConstTensor seqlens() const;
  /// Slots of tokens first to first + slots.size() - 1 in a group; -1 where the page has left the window. Errors:
  /// not_found, invalid_argument (tokens that the sequence lacks).
  Status slot_mapping(int64_t sequence, int64_t group, int64_t first, std::span<int64_t> slots) const;
  /// The pages of a row and its length at one moment, without a lock: any thread. Pages beyond `pages` are left out.
  [[nodiscard]] int64_t read_row(int64_t row, int64_t group, std::span<int32_t> pages) const;
  /// Pages that every live sequence begins with in group 0, as cascade attention wants to know.
  [[nodiscard]] int64_t num_common_prefix_pages() const;

  [[nodiscard]] KvCacheStatistics statistics() const;  ///< each figure exact, together of about one moment; any thread
  /// Moves out the oldest events: their number.
  int64_t take_events(std::span<KvCacheEvent> events);

  // ---------------------------------------------------------------------------------------------- integrity

  /// Audits every reference, list, hash and counter in O(pages + table). Errors: corrupt, saying what; from then on
  /// every call that changes something says so too.
  Status verify();

  /// Writes all sequences, the prefix cache, and the pages' bytes to a file: beside it, then fsync and rename, so that
  /// `path` is always a whole snapshot. `arrays` hold the pages' bytes and may be empty. Errors: io_error,
  /// invalid_argument (a sequence is swapped or a transfer under way).
  Status snapshot(const std::string& path, const PageArrays& arrays) const;
  /// A cache as it was, with `num_pages` pages (0: as many as it had), and the bytes in `arrays`. Page numbers are new.
  /// Nothing is written before the whole file has been checked. Errors: io_error; invalid_argument (foreign, of another
  /// version, truncated, corrupt, of other geometry than `arrays`, or more pages in use than num_pages: says which).
  static Result<KvCache> restore(const std::string& path, const PageArrays& arrays, int64_t num_pages = 0);

 private:
  friend struct kv_cache::Access;
  explicit KvCache(std::shared_ptr<kv_cache::Manager> manager);
  std::shared_ptr<kv_cache::Manager> manager_;
};

/// Owns one sequence of a cache and removes it when destroyed. The cache may go first.
class FLASH_MLA_API SequenceHandle {
 public:
  SequenceHandle() = default;
  SequenceHandle(SequenceHandle&& other) noexcept;
  SequenceHandle& operator=(SequenceHandle&& other) noexcept;
  ~SequenceHandle();

  [[nodiscard]] int64_t id() const { return id_; }  ///< -1: owns none
  int64_t release();                                ///< the id, to be removed by the caller from here on
  void reset();

 private:
  friend class KvCache;
  std::weak_ptr<kv_cache::Manager> manager_;
  int64_t id_ = -1;
};

/// The face for several writers: one mutex around every use.
class LockedKvCache {
 public:
  explicit LockedKvCache(KvCache cache) : cache_(std::move(cache)) {}
  template <class Use>
  auto with(Use&& use) {
    const std::lock_guard lock(mutex_);
    return std::forward<Use>(use)(cache_);
  }

 private:
  std::mutex mutex_;
  KvCache cache_;
};

}  // namespace flash_mla
