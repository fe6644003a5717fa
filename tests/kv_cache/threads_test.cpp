// One writer, readers without locks, and the locked face: under ThreadSanitizer too.
#include <atomic>
#include <thread>

#include "helpers.h"

namespace flash_mla::test {
namespace {

TEST(Threads, ReadersSeeWholeRowsAndFigures) {
  KvCacheOptions options;
  options.groups = {{4, 0, 0}, {4, 12, 0}};
  KvCache cache = make_cache(64, 4, 2, 80, options);
  std::atomic<bool> done{false};
  std::atomic<int64_t> seen{0}, torn{0};
  const auto read = [&] {
    std::vector<int32_t> pages(20);
    while (!done.load(std::memory_order_relaxed)) {
      for (int64_t row = 0; row < 2; ++row) {
        // A row is ever only grown by whole pages, each marked by the writer: entries up to the length are pages.
        const int64_t length = cache.read_row(row, 0, pages);
        bool whole = length % 4 == 0;
        for (int64_t column = 0; column < 20; ++column) whole &= (pages[column] >= 0) == (column * 4 < length);
        for (int64_t column = 1; column * 4 < length; ++column) whole &= pages[column] != pages[0];
        torn += !whole;
        seen += length > 0;
      }
      const KvCacheStatistics s = cache.statistics();
      torn += s.tokens < 0 || s.tokens > 160 || s.used_pages < 0 || cache.num_free_pages() > 64;
    }
  };
  std::thread first(read), second(read);
  for (int round = 0; round < 2000 || seen.load() == 0; ++round) {
    const int64_t a = cache.add_sequence().value(), b = cache.add_sequence().value();
    for (int64_t length = 8; length <= 40; length += 8) {
      for (const int64_t id : {a, b}) {
        ASSERT_TRUE(cache.grow(id, 8, {}).ok());
        ASSERT_TRUE(cache.mark_computed(id, length).ok());
      }
    }
    ASSERT_TRUE(cache.remove_sequence(a).ok());
    ASSERT_TRUE(cache.remove_sequence(b).ok());
  }
  done = true;
  first.join();
  second.join();
  EXPECT_EQ(torn.load(), 0);
  EXPECT_GT(seen.load(), 0);
}

TEST(Threads, TheLockedFaceTakesManyWriters) {
  LockedKvCache cache(make_cache(400, 4, 32, 40, caching()));
  std::vector<std::thread> threads;
  std::atomic<int64_t> failures{0};
  for (int32_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 300; ++round) {
        const std::vector<int32_t> prompt = tokens(21, thread * 1000 + round % 7);
        const int64_t id = cache.with([&](KvCache& one) {
          const Result<StartedSequence> started = one.add_sequence(spec_of(prompt));
          if (!started.ok()) return int64_t{-1};
          const auto rest = std::span(prompt).subspan(static_cast<size_t>(started.value().num_computed_tokens));
          failures += !one.grow(started.value().id, rest, {}).ok();
          return started.value().id;
        });
        failures += id < 0;
        cache.with([&](KvCache& one) { failures += !one.mark_computed(id, 21).ok(); });
        cache.with([&](KvCache& one) { failures += !one.remove_sequence(id).ok(); });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures.load(), 0);
  EXPECT_TRUE(cache.with([](KvCache& one) { return one.verify().ok() && one.num_used_pages() == 0; }));
}

}  // namespace
}  // namespace flash_mla::test
