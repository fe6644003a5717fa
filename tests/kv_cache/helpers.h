// Short words for the tests of the KV cache.
#pragma once

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "flash_mla/kv_cache.h"

namespace flash_mla::test {

inline KvCacheOptions caching() {
  KvCacheOptions options;
  options.prefix_caching = true;
  options.hash_key = KvCacheHash{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  return options;
}

inline KvCache make_cache(int64_t num_pages, int64_t page_size, int64_t max_sequences, int64_t max_tokens,
                          const KvCacheOptions& options = {}) {
  return KvCache::make({num_pages, page_size, max_sequences, max_tokens}, options).value();
}

/// Tokens first to first + count - 1.
inline std::vector<int32_t> tokens(int64_t count, int32_t first = 0) {
  std::vector<int32_t> made(static_cast<size_t>(count));
  std::iota(made.begin(), made.end(), first);
  return made;
}

inline SequenceSpec spec_of(const std::vector<int32_t>& prompt) {
  SequenceSpec spec;
  spec.prompt = prompt;
  return spec;
}

/// Begins, grows to the whole prompt and marks it computed: the id.
inline int64_t run_prompt(KvCache& cache, const SequenceSpec& spec) {
  const StartedSequence started = cache.add_sequence(spec).value();
  const auto rest = spec.prompt.subspan(static_cast<size_t>(started.num_computed_tokens));
  EXPECT_TRUE(cache.grow(started.id, rest, {}, spec.extras).ok());
  EXPECT_TRUE(cache.mark_computed(started.id, static_cast<int64_t>(spec.prompt.size())).ok());
  return started.id;
}

/// The same, and the sequence ends.
inline void cache_prompt(KvCache& cache, const SequenceSpec& spec) {
  EXPECT_TRUE(cache.remove_sequence(run_prompt(cache, spec)).ok());
}

inline int32_t page_at(const KvCache& cache, int64_t sequence, int64_t column, int64_t group = 0) {
  const ConstTensor table = cache.page_table(group);
  return static_cast<const int32_t*>(table.data)[cache.row_of(sequence) * table.strides[0] + column];
}

}  // namespace flash_mla::test
