#include "kv_cache/prefix_index.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace flash_mla::kv_cache {

PrefixIndex::PrefixIndex(int64_t num_pages, int64_t tokens_a_page, const KvCacheHash& key, int hash_bits)
    : key_(key),
      hash_bits_(hash_bits),
      tokens_a_page_(tokens_a_page),
      entries_(static_cast<size_t>(num_pages)),
      buckets_(num_pages == 0 ? 0 : std::bit_ceil(static_cast<size_t>(num_pages)), kNone),
      tokens_(static_cast<size_t>(num_pages * tokens_a_page)) {}

Prefix PrefixIndex::root(uint64_t salt, uint64_t adapter) const {
  SipHash128 hash(key_);
  hash.add(salt);
  hash.add(adapter);
  // Roots have no serial, but are told apart by all bits of their hash, so its halves stand in for one. Bit 63 keeps
  // them apart from those that are counted.
  const KvCacheHash whole = hash.finish();
  return {whole, (whole.low ^ std::rotl(whole.high, 32)) | uint64_t{1} << 63};
}

KvCacheHash PrefixIndex::hash_of(const KvCacheHash& parent, int group, std::span<const int32_t> tokens,
                                 uint64_t extra) const {
  SipHash128 hash(key_);
  hash.add(parent);
  hash.add(extra);
  hash.add(static_cast<uint64_t>(group));
  size_t i = 0;
  for (; i + 1 < tokens.size(); i += 2) {
    hash.add(static_cast<uint64_t>(static_cast<uint32_t>(tokens[i + 1])) << 32 | static_cast<uint32_t>(tokens[i]));
  }
  if (i < tokens.size()) hash.add(static_cast<uint64_t>(static_cast<uint32_t>(tokens[i])));
  return shorten(hash.finish());
}

KvCacheHash PrefixIndex::shorten(KvCacheHash hash) const {
  if (hash_bits_ < 64) return {hash.low & ((uint64_t{1} << hash_bits_) - 1), 0};
  if (hash_bits_ < 128) hash.high &= (uint64_t{1} << (hash_bits_ - 64)) - 1;
  return hash;
}

uint64_t PrefixIndex::fold(uint64_t extra, const TokenExtra& added, int64_t token) const {
  SipHash128 hash(key_);
  hash.add(extra);
  hash.add(static_cast<uint64_t>(token));
  hash.add(static_cast<uint64_t>(added.first));
  hash.add(static_cast<uint64_t>(added.count));
  hash.add(added.value);
  return hash.finish().low;
}

int32_t PrefixIndex::find(const PagePool& pool, const KvCacheHash& hash, int group, uint64_t parent,
                          std::span<const int32_t> tokens, uint64_t extra) const {
  if (buckets_.empty()) return kNone;
  for (int32_t page = buckets_[bucket_of(hash)]; page != kNone; page = entries_[page].next) {
    const Entry& entry = entries_[page];
    if (entry.hash == hash && entry.extra == extra && (parent == kAnyParent || entry.parent == parent) &&
        pool[page].group == group && std::equal(tokens.begin(), tokens.end(), tokens_of(page))) {
      return page;
    }
  }
  return kNone;
}

void PrefixIndex::save(int32_t page, int32_t* record) const {
  const uint64_t extra = extra_of(page);
  std::memcpy(record, &extra, sizeof(extra));
  std::copy_n(tokens_of(page), tokens_a_page_, record + 2);
}

void PrefixIndex::load(int32_t page, const int32_t* record) {
  std::memcpy(&extra_of(page), record, sizeof(uint64_t));
  std::copy_n(record + 2, tokens_a_page_, tokens_of(page));
}

void PrefixIndex::publish(PagePool& pool, int32_t page, const KvCacheHash& hash, const Prefix& parent,
                          int64_t num_tokens) {
  Entry& entry = entries_[page];
  const std::span<const int32_t> tokens(tokens_of(page), static_cast<size_t>(num_tokens));
  const int32_t twin = find(pool, hash, pool[page].group, parent.serial, tokens, entry.extra);
  entry.hash = hash;
  entry.parent_hash = parent.hash;
  entry.parent = parent.serial;
  entry.serial = twin == kNone ? ++last_serial_ : entries_[twin].serial;
  insert(pool, page, twin);
}

void PrefixIndex::restore(PagePool& pool, int32_t page, const Prefix& prefix, const Prefix& parent, int64_t num_tokens,
                          uint64_t last_serial) {
  Entry& entry = entries_[page];
  entry.hash = prefix.hash;
  entry.serial = prefix.serial;
  entry.parent_hash = parent.hash;
  entry.parent = parent.serial;
  last_serial_ = last_serial;
  const std::span<const int32_t> tokens(tokens_of(page), static_cast<size_t>(num_tokens));
  insert(pool, page, find(pool, entry.hash, pool[page].group, parent.serial, tokens, entry.extra));
}

void PrefixIndex::insert(PagePool& pool, int32_t page, int32_t twin) {
  Entry& entry = entries_[page];
  // Behind its twin, so that the page that is found, and perhaps pinned, stays the one that is found.
  entry.previous = twin;
  int32_t& link = twin == kNone ? buckets_[bucket_of(entry.hash)] : entries_[twin].next;
  entry.next = link;
  if (link != kNone) entries_[link].previous = page;
  link = page;
  pool[page].published = true;
}

void PrefixIndex::unpublish(PagePool& pool, int32_t page) {
  const Entry& entry = entries_[page];
  (entry.previous == kNone ? buckets_[bucket_of(entry.hash)] : entries_[entry.previous].next) = entry.next;
  if (entry.next != kNone) entries_[entry.next].previous = entry.previous;
  pool[page].published = false;
}

bool PrefixIndex::agrees(const PagePool& pool, std::span<const KvCacheGroup> groups) const {
  int64_t published = 0, found = 0;
  for (int64_t page = 0; page < pool.size(); ++page) published += pool[page].published;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    int32_t previous = kNone;
    for (int32_t page = buckets_[bucket]; page != kNone; page = entries_[page].next) {
      if (!pool.contains(page) || !pool[page].published || ++found > published) return false;
      const Entry& entry = entries_[page];
      if (bucket_of(entry.hash) != bucket || entry.previous != previous || entry.serial > last_serial_) return false;
      const std::span tokens(tokens_of(page), static_cast<size_t>(groups[pool[page].group].page_size));
      if (!(hash_of(entry.parent_hash, pool[page].group, tokens, entry.extra) == entry.hash)) return false;
      previous = page;
    }
  }
  return found == published;
}

}  // namespace flash_mla::kv_cache
