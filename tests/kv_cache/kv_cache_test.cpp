#include "flash_mla/kv_cache.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

namespace flash_mla {
namespace {

KvCache make(int64_t num_pages, int64_t page_size, int64_t max_sequences, int64_t max_tokens) {
  return KvCache::make({num_pages, page_size, max_sequences, max_tokens}).value();
}

std::vector<int64_t> append(KvCache& cache, int64_t sequence, size_t tokens) {
  std::vector<int64_t> slots(tokens, -7);
  Status status = cache.append_tokens(sequence, slots);
  EXPECT_TRUE(status.ok()) << status.message();
  return slots;
}

int32_t length_of(const KvCache& cache, int64_t sequence) {
  return static_cast<const int32_t*>(cache.seqlens().data)[sequence];
}

int32_t page_of(const KvCache& cache, int64_t sequence, int64_t column) {
  return static_cast<const int32_t*>(cache.page_table().data)[sequence * cache.page_table().strides[0] + column];
}

TEST(KvCache, StartsEmptyWithTheViewsThatDecodeTakes) {
  KvCache cache = make(10, 64, 3, 130);
  EXPECT_EQ(cache.num_free_pages(), 10);
  EXPECT_EQ(cache.num_used_pages(), 0);
  EXPECT_EQ(cache.num_tokens(), 0);
  EXPECT_EQ(cache.geometry().page_size, 64);
  ConstTensor table = cache.page_table();
  EXPECT_EQ(table.dtype, DType::int32);
  EXPECT_EQ(table.rank, 2);
  EXPECT_EQ(table.shape[0], 3);
  EXPECT_EQ(table.shape[1], 3);  // ceil(130 / 64)
  ConstTensor seqlens = cache.seqlens();
  EXPECT_EQ(seqlens.dtype, DType::int32);
  EXPECT_EQ(seqlens.rank, 1);
  EXPECT_EQ(seqlens.shape[0], 3);
  for (int64_t sequence = 0; sequence < 3; ++sequence) EXPECT_EQ(length_of(cache, sequence), 0);
}

TEST(KvCache, SlotsFollowThePageTable) {
  KvCache cache = make(8, 4, 2, 32);
  int64_t first = cache.add_sequence().value();
  int64_t second = cache.add_sequence().value();
  std::vector<int64_t> slots = append(cache, first, 3);
  append(cache, second, 5);
  for (int64_t slot : append(cache, first, 6)) slots.push_back(slot);
  EXPECT_EQ(length_of(cache, first), 9);
  for (size_t token = 0; token < slots.size(); ++token) {
    int64_t column = static_cast<int64_t>(token) / 4;
    int64_t offset = static_cast<int64_t>(token) % 4;
    EXPECT_EQ(slots[token], int64_t{page_of(cache, first, column)} * 4 + offset) << "token " << token;
  }
  EXPECT_EQ(cache.num_used_pages(), 3 + 2);
  EXPECT_EQ(cache.num_tokens(), 9 + 5);
}

TEST(KvCache, ViewsStayWhereTheyAreThroughAppendsRemovalsAndMoves) {
  KvCache cache = make(8, 4, 2, 32);
  ConstTensor table = cache.page_table();
  ConstTensor seqlens = cache.seqlens();
  int64_t sequence = cache.add_sequence().value();
  append(cache, sequence, 20);
  ASSERT_TRUE(cache.remove_sequence(sequence).ok());
  KvCache moved = std::move(cache);
  append(moved, moved.add_sequence().value(), 7);
  EXPECT_EQ(moved.page_table().data, table.data);
  EXPECT_EQ(moved.seqlens().data, seqlens.data);
}

TEST(KvCache, AppendOfNothingChangesNothing) {
  KvCache cache = make(1, 4, 1, 32);
  int64_t sequence = cache.add_sequence().value();
  append(cache, sequence, 0);
  EXPECT_EQ(cache.num_used_pages(), 0);
  append(cache, sequence, 4);
  append(cache, sequence, 0);
  EXPECT_EQ(cache.num_used_pages(), 1);
}

TEST(KvCache, AppendIsAllOrNothingWhenPagesRunOut) {
  KvCache cache = make(3, 4, 2, 32);
  int64_t first = cache.add_sequence().value();
  int64_t second = cache.add_sequence().value();
  append(cache, first, 5);
  append(cache, second, 2);
  std::vector<int64_t> slots(3, -7);
  Status status = cache.append_tokens(second, slots);
  EXPECT_EQ(status.code(), StatusCode::out_of_pages);
  EXPECT_EQ(status.message(),
            "sequence 1 needs 1 more pages, but 0 of 3 are free, 0 evictable, and 0 of those reserved");
  EXPECT_EQ(slots, std::vector<int64_t>(3, -7));
  EXPECT_EQ(length_of(cache, second), 2);
  EXPECT_EQ(cache.num_tokens(), 7);
  append(cache, second, 2);  // what still fits in its page
  EXPECT_EQ(cache.num_used_pages(), 3);
}

TEST(KvCache, AppendRefusesMoreThanMaxTokens) {
  KvCache cache = make(100, 4, 1, 10);
  int64_t sequence = cache.add_sequence().value();
  append(cache, sequence, 9);
  std::vector<int64_t> slots(2);
  Status status = cache.append_tokens(sequence, slots);
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_EQ(status.message(), "sequence 0 has 9 tokens and cannot grow by 2: max_tokens is 10");
  append(cache, sequence, 1);
}

TEST(KvCache, RemovedPagesAndRowsServeAgain) {
  KvCache cache = make(4, 2, 2, 8);
  int64_t first = cache.add_sequence().value();
  append(cache, first, 8);
  EXPECT_EQ(cache.num_free_pages(), 0);
  ASSERT_TRUE(cache.remove_sequence(first).ok());
  EXPECT_EQ(cache.num_free_pages(), 4);
  EXPECT_EQ(cache.num_tokens(), 0);
  EXPECT_EQ(length_of(cache, first), 0);
  int64_t again = cache.add_sequence().value();
  EXPECT_EQ(cache.row_of(again), cache.row_of(first) == -1 ? 0 : -1) << "the row serves again, under another id";
  EXPECT_NE(again, first);
  std::vector<int64_t> slots = append(cache, again, 8);
  EXPECT_EQ(std::set<int64_t>(slots.begin(), slots.end()).size(), 8u);
}

TEST(KvCache, RowsRunOut) {
  KvCache cache = make(4, 2, 2, 8);
  EXPECT_TRUE(cache.add_sequence().ok());
  EXPECT_TRUE(cache.add_sequence().ok());
  Result<int64_t> third = cache.add_sequence();
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(third.status().message(), "all max_sequences = 2 rows of the page table are in use");
}

TEST(KvCache, UnknownSequencesAreNotFound) {
  KvCache cache = make(4, 2, 2, 8);
  int64_t sequence = cache.add_sequence().value();
  append(cache, sequence, 3);
  std::vector<int64_t> slots(1);
  for (int64_t unknown : {int64_t{-1}, int64_t{1}, int64_t{2}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(cache.append_tokens(unknown, slots).code(), StatusCode::not_found);
    EXPECT_EQ(cache.remove_sequence(unknown).code(), StatusCode::not_found);
    EXPECT_EQ(cache.pages_needed(unknown, 1), -1);
  }
  ASSERT_TRUE(cache.remove_sequence(sequence).ok());
  Status twice = cache.remove_sequence(sequence);
  EXPECT_EQ(twice.code(), StatusCode::not_found);
  EXPECT_EQ(twice.message(), "sequence 0 does not exist");
  EXPECT_EQ(cache.num_free_pages(), 4);
}

TEST(KvCache, PagesNeededCountsTheRoomInTheLastPage) {
  KvCache cache = make(10, 4, 1, 100);
  int64_t sequence = cache.add_sequence().value();
  EXPECT_EQ(cache.pages_needed(sequence, 0), 0);
  EXPECT_EQ(cache.pages_needed(sequence, 1), 1);
  append(cache, sequence, 3);
  EXPECT_EQ(cache.pages_needed(sequence, 1), 0);
  EXPECT_EQ(cache.pages_needed(sequence, 2), 1);
  EXPECT_EQ(cache.pages_needed(sequence, 6), 2);
  EXPECT_EQ(cache.pages_needed(sequence, -5), 0);
  EXPECT_GT(cache.pages_needed(sequence, std::numeric_limits<int64_t>::max()), 0);
}

TEST(KvCache, APoolOfNoPagesServesEmptySequencesOnly) {
  KvCache cache = make(0, 4, 1, 100);
  int64_t sequence = cache.add_sequence().value();
  std::vector<int64_t> slots(1);
  EXPECT_EQ(cache.append_tokens(sequence, slots).code(), StatusCode::out_of_pages);
}

struct BadGeometry {
  KvCacheGeometry geometry;
  const char* message;
};

TEST(KvCache, RefusesBadGeometryByName) {
  constexpr int64_t kTooLarge = int64_t{1} << 31;
  for (const BadGeometry& bad : {
           BadGeometry{{-1, 64, 1, 1}, "num_pages is -1: must be 0 to 2147483647"},
           BadGeometry{{kTooLarge, 64, 1, 1}, "num_pages is 2147483648: must be 0 to 2147483647"},
           BadGeometry{{1, 0, 1, 1}, "page_size is 0: must be 1 to 2147483647"},
           BadGeometry{{1, 64, 0, 1}, "max_sequences is 0: must be 1 to 2147483647"},
           BadGeometry{{1, 64, 1, 0}, "max_tokens is 0: must be 1 to 2147483647"},
           BadGeometry{{1, 1, kTooLarge - 1, kTooLarge - 1},
                       "num_pages is 1, max_sequences is 2147483647 and max_tokens is 2147483647: tables of that size "
                       "do not fit in memory"},
       }) {
    Result<KvCache> cache = KvCache::make(bad.geometry);
    ASSERT_FALSE(cache.ok()) << bad.message;
    EXPECT_EQ(cache.status().code(), StatusCode::invalid_argument);
    EXPECT_EQ(cache.status().message(), bad.message);
  }
}

}  // namespace
}  // namespace flash_mla
