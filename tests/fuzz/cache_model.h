// What a KvCache and its arrays hold, said again in the simplest way: a list of rows for each sequence.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "flash_mla/kv_cache.h"
#include "support/array.h"

namespace flash_mla::fuzz {

struct CacheModel {
  using Row = std::vector<std::byte>;
  std::map<int64_t, std::vector<Row>> sequences;  ///< by id: each token's bytes, keys and then values of all heads

  /// Aborts unless the cache's table, lengths, counters and the arrays say the same.
  void check(const KvCache& cache, const test::Array& k_cache, const test::Array& v_cache) const;
};

/// The bytes of one slot in the arrays.
CacheModel::Row slot_bytes(const test::Array& k_cache, const test::Array& v_cache, int64_t slot);

}  // namespace flash_mla::fuzz
