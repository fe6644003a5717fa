// Which pages hold which beginnings of prompts: a hash table whose links lie in an array beside the pages.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flash_mla/kv_cache_types.h"
#include "kv_cache/page_pool.h"
#include "kv_cache/siphash.h"

namespace flash_mla::kv_cache {

/// A beginning of a sequence. The hash finds it; the serial number, given once to each beginning and never again, says
/// for certain which one it is.
struct Prefix {
  KvCacheHash hash;
  uint64_t serial = 0;
};

inline constexpr uint64_t kAnyParent = ~uint64_t{0};

class PrefixIndex {
 public:
  /// `num_pages` 0: nothing is ever found.
  PrefixIndex(int64_t num_pages, int64_t tokens_a_page, const KvCacheHash& key, int hash_bits);

  /// Of the empty sequence.
  [[nodiscard]] Prefix root(uint64_t salt, uint64_t adapter) const;
  [[nodiscard]] KvCacheHash hash_of(const KvCacheHash& parent, int group, std::span<const int32_t> tokens,
                                    uint64_t extra) const;
  /// Adds what an extra means for a token of a page to what was there before.
  [[nodiscard]] uint64_t fold(uint64_t extra, const TokenExtra& added, int64_t token) const;

  /// A published page of these very tokens after that parent (a serial, or kAnyParent); kNone if there is none.
  [[nodiscard]] int32_t find(const PagePool& pool, const KvCacheHash& hash, int group, uint64_t parent,
                             std::span<const int32_t> tokens, uint64_t extra) const;
  /// Publishes a page; its tokens and extra have been written. The same prefix may be published by many pages.
  void publish(PagePool& pool, int32_t page, const KvCacheHash& hash, const Prefix& parent, int64_t num_tokens);
  void unpublish(PagePool& pool, int32_t page);

  [[nodiscard]] Prefix prefix_of(int32_t page) const { return {entries_[page].hash, entries_[page].serial}; }
  [[nodiscard]] Prefix parent_of(int32_t page) const { return {entries_[page].parent_hash, entries_[page].parent}; }
  /// The tokens of a page, as far as they have been written.
  [[nodiscard]] int32_t* tokens_of(int32_t page) { return tokens_.data() + page * tokens_a_page_; }
  [[nodiscard]] const int32_t* tokens_of(int32_t page) const { return tokens_.data() + page * tokens_a_page_; }
  [[nodiscard]] uint64_t& extra_of(int32_t page) { return entries_[page].extra; }
  [[nodiscard]] uint64_t extra_of(int32_t page) const { return entries_[page].extra; }
  /// Tokens and extra of a page as int32 values, to be kept elsewhere: record_size() of them.
  [[nodiscard]] int64_t record_size() const { return tokens_a_page_ + 2; }
  void save(int32_t page, int32_t* record) const;
  void load(int32_t page, const int32_t* record);
  [[nodiscard]] const KvCacheHash& key() const { return key_; }
  [[nodiscard]] int hash_bits() const { return hash_bits_; }
  [[nodiscard]] uint64_t last_serial() const { return last_serial_; }

  /// Publishes a page as another index had it. The serials of both are the same.
  void restore(PagePool& pool, int32_t page, const Prefix& prefix, const Prefix& parent, int64_t num_tokens,
               uint64_t last_serial);
  /// Whether exactly the published pages are in the table, each where its hash says, and each hash that of its tokens.
  [[nodiscard]] bool agrees(const PagePool& pool, std::span<const KvCacheGroup> groups) const;

 private:
  struct Entry {
    KvCacheHash hash;
    KvCacheHash parent_hash;
    uint64_t serial = 0;
    uint64_t parent = 0;  ///< its serial
    uint64_t extra = 0;
    int32_t previous = kNone;  ///< in the bucket
    int32_t next = kNone;
  };

  [[nodiscard]] size_t bucket_of(const KvCacheHash& hash) const { return hash.low & (buckets_.size() - 1); }
  [[nodiscard]] KvCacheHash shorten(KvCacheHash hash) const;
  void insert(PagePool& pool, int32_t page, int32_t twin);

  KvCacheHash key_;
  int hash_bits_;
  int64_t tokens_a_page_;
  std::vector<Entry> entries_;
  std::vector<int32_t> buckets_;  ///< a power of two of them
  std::vector<int32_t> tokens_;
  uint64_t last_serial_ = 0;
};

}  // namespace flash_mla::kv_cache
