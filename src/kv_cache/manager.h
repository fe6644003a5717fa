// The state behind a KvCache. Its parts keep their own books; what ties them together is here.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "flash_mla/kv_cache.h"
#include "kv_cache/event_ring.h"
#include "kv_cache/free_list.h"
#include "kv_cache/page_pool.h"
#include "kv_cache/prefix_index.h"
#include "kv_cache/row_tables.h"
#include "kv_cache/transfers.h"

namespace flash_mla::kv_cache {

inline constexpr int64_t divide_up(int64_t value, int64_t divisor) {
  return value / divisor + (value % divisor != 0);
}

struct Sequence {
  uint32_t generation = 0;  ///< of its row; upper half of its id
  int32_t length = 0;
  int32_t computed = 0;
  int32_t known = 0;     ///< tokens from the start whose ids are known: only those can be published
  int64_t target = 0;    ///< length that was reserved
  int64_t reserved = 0;  ///< pages still promised
  Prefix root;
  int32_t tier = -1;      ///< where its pages are; -1: in the pool
  int32_t transfers = 0;  ///< under way
  uint8_t priority = 0;
  bool frozen = false;
};

/// A sequence in one group.
struct Progress {
  Prefix chain;            ///< of the published pages
  int32_t published = 0;   ///< pages from the start, those that left the window included
  int32_t first_live = 0;  ///< column: those before it, sinks apart, have left the window
};

struct Counters {
  Counter tokens, sequences, wasted_tokens, reserved_pages;
  Counter allocations, evictions, copies, query_tokens, hit_tokens, published_pages, dropped_events;
};

/// The longest cached prefix of a prompt: pages by group and column in Manager::hits, kNone where a window needs none.
struct Hit {
  int64_t tokens = 0;
  int64_t pages = 0;
  int64_t evictable = 0;  ///< of those, nobody's
};

struct Manager {
  Manager(const KvCacheGeometry& shape, const KvCacheOptions& settings, const KvCacheHash& key);

  static int64_t id_of(uint32_t generation, int64_t row) { return static_cast<int64_t>(generation) << 32 | row; }
  /// The row of a sequence; -1 if there is none of that id.
  [[nodiscard]] int64_t row_of(int64_t id) const;
  [[nodiscard]] int64_t id_of_row(int64_t row) const { return id_of(sequences[row].generation, row); }
  [[nodiscard]] int64_t num_groups() const { return static_cast<int64_t>(groups.size()); }
  [[nodiscard]] Progress& progress_of(int64_t row, int64_t group) { return progress[row * num_groups() + group]; }
  [[nodiscard]] const Progress& progress_of(int64_t row, int64_t group) const {
    return progress[row * num_groups() + group];
  }
  [[nodiscard]] int64_t pages_of(int64_t group, int64_t length) const {
    return divide_up(length, groups[group].page_size);
  }
  [[nodiscard]] int64_t sink_columns(int64_t group) const {
    return divide_up(groups[group].sinks, groups[group].page_size);
  }
  /// Whether the page table of a sequence of some length has a page in this column.
  [[nodiscard]] bool is_live(int64_t row, int64_t group, int64_t column) const;

  /// OK, or why this cache serves no more.
  [[nodiscard]] Status alive() const;
  Status poison(std::string why);
  static Status unknown(int64_t id);
  /// A sequence that may change: alive, known, in the pool, not frozen. Else the Status.
  Status writable(int64_t id, int64_t& row) const;

  /// Pages that a sequence (kNone: a new one) may take: free or evictable, and promised to no other.
  [[nodiscard]] int64_t available(int64_t row) const;
  /// Remembers the figures of the refusal.
  Status out_of_pages(int64_t row, int64_t needed, const char* what);
  /// A page, which must be available. Evicts if nothing is free.
  int32_t take_page(int64_t group);
  /// Drops one reference: 1 if it was the last, else 0. A reference too many poisons.
  int64_t release_page(int32_t page);
  void unpublish(int32_t page);  ///< if it is published
  void evict(int32_t page);      ///< a cached page
  void record(const KvCacheEvent& event);

  /// Sets the length in the tables and the sums over all; the row must be open.
  void show_length(int64_t row, int64_t length);
  [[nodiscard]] int64_t waste_of(int64_t length) const;
  /// A new sequence's row, of which one must be free.
  int64_t begin_row();
  /// Ends a sequence whose pages are in the pool.
  void release_row(int64_t row);

  /// Publishes the pages that computed and known tokens fill.
  void publish(int64_t row);
  /// Frees the pages that no query from position `computed` on can see.
  void trim_windows(int64_t row);
  /// The last page of `length` tokens is about to be written by a sequence that may share it: a page of its own.
  void copy_on_write(int64_t row, int64_t group, int64_t length, PageCopies& copies);
  /// Adds what the extras mean for positions first to first + count - 1 of a page, token by token: however a page is
  /// filled, it says which of its tokens came with which extra.
  [[nodiscard]] uint64_t fold_extras(std::span<const TokenExtra> extras, int64_t first, int64_t count,
                                     uint64_t extra) const;

  void set_reserved(int64_t row, int64_t target);
  /// What is still promised, after pages were taken or, from its window, freed.
  void update_reserved(int64_t row, int64_t freed);

  /// The chains of a sequence that has become shorter.
  void shorten_chains(int64_t row);
  /// Gives to the transfers under way what a sequence that is about to be removed holds of them.
  void abandon_transfers(int64_t row);

  /// Keep what the prefix index knows of a page while it is in a tier.
  void save_tokens(int32_t page, int64_t tier, int64_t tier_page);
  void load_tokens(int32_t page, int64_t tier, int64_t tier_page);

  Hit find(const SequenceSpec& spec);
  [[nodiscard]] Status check(const SequenceSpec& spec) const;
  static Status check(std::span<const TokenExtra> extras);
  [[nodiscard]] Status check_rows() const;
  [[nodiscard]] Admission admission(const SequenceSpec& spec, const Hit& hit) const;
  /// Pages of a group that a sequence of that length has at most at any moment.
  [[nodiscard]] int64_t most_pages(int64_t group, int64_t length) const;
  /// Pages that a sequence of `from` tokens may still take on its way to `target`.
  [[nodiscard]] int64_t pages_to_reserve(int64_t row, int64_t from, int64_t target) const;
  /// Last pages that it shares and has to copy before it writes to them.
  [[nodiscard]] int64_t pages_to_copy(int64_t row) const;
  [[nodiscard]] int64_t pages_to_grow(int64_t row, int64_t count) const;
  [[nodiscard]] bool can_grow(int64_t row, int64_t count) const;

  KvCacheGeometry geometry;
  KvCacheOptions options;
  std::vector<KvCacheGroup> groups;
  int64_t hit_unit = 1;  ///< tokens: the least common multiple of the groups' page sizes
  RowTables tables;
  PagePool pool;
  PrefixIndex index;
  FreeList rows;
  std::vector<Sequence> sequences;
  std::vector<Progress> progress;
  Transfers transfers;
  std::vector<std::vector<int32_t>> tier_tables;  ///< a group; as the page tables, of sequences in a tier
  /// What the prefix index knows of a page, of those in a tier: tier, page * (largest page size + 2) on: the extra in
  /// two halves, then the tokens.
  std::vector<std::vector<int32_t>> tier_tokens;
  EventRing events;
  Counters counters;
  OutOfPages shortage;
  std::vector<std::vector<int32_t>> hits;      ///< a group: pages of the prefix that find() found
  std::vector<std::vector<Prefix>> hit_chain;  ///< a group: the prefix of each of its pages
  bool poisoned = false;
  std::string poison_reason;
};

/// Counts everything again. Errors: corrupt.
Status audit(const Manager& manager);

/// How the tests of the inside get there.
struct Access {
  static Manager& of(KvCache& cache) { return *cache.manager_; }
  static const Manager& of(const KvCache& cache) { return *cache.manager_; }
  static KvCache wrap(std::shared_ptr<Manager> manager) { return KvCache(std::move(manager)); }
};

/// Errors: invalid_argument.
Status check_geometry(const KvCacheGeometry& geometry, const KvCacheOptions& options);

}  // namespace flash_mla::kv_cache
