// Operations that succeed must not allocate.
#include <gtest/gtest.h>

#include <array>

#include "allocation_counter.h"
#include "flash_mla/kv_cache.h"

namespace flash_mla {
namespace {

TEST(KvCacheAllocation, NoOperationAllocates) {
  KvCache cache = KvCache::make({1000, 16, 8, 1000}).value();
  std::array<int64_t, 100> slots{};
  int64_t failures = 0;
  const int64_t before = num_allocations();
  for (int round = 0; round < 100; ++round) {
    std::array<int64_t, 8> sequences{};
    for (int64_t& sequence : sequences) {
      Result<int64_t> added = cache.add_sequence();
      failures += !added.ok();
      if (added.ok()) sequence = added.value();
      failures += !cache.append_tokens(sequence, slots).ok();
      failures += !cache.append_tokens(sequence, std::span(slots).first(1)).ok();
    }
    for (int64_t sequence : sequences) failures += !cache.remove_sequence(sequence).ok();
  }
  EXPECT_EQ(num_allocations() - before, 0);
  EXPECT_EQ(failures, 0);
  ::operator delete(::operator new(8));
  EXPECT_EQ(num_allocations() - before, 1) << "the counter does not count";
}

}  // namespace
}  // namespace flash_mla
