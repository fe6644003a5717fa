// Sliding windows with sinks, and groups of page formats.
#include "helpers.h"

namespace flash_mla::test {
namespace {

KvCacheOptions windowed(int64_t window, int64_t sinks) {
  KvCacheOptions options = caching();
  options.groups = {{0, window, sinks}};
  return options;
}

TEST(Window, PagesThatLeaveItAreFreedAtOnce) {
  KvCache cache = make_cache(20, 4, 2, 80, windowed(10, 0));
  const int64_t id = cache.add_sequence().value();
  for (int64_t length = 1; length <= 80; ++length) {
    ASSERT_TRUE(cache.grow(id, 1, {}).ok());
    ASSERT_TRUE(cache.mark_computed(id, length).ok());
    // The next query, at position `length`, sees length - 9 on.
    const int64_t first_page = std::max<int64_t>(0, length - 9) / 4;
    ASSERT_EQ(cache.num_used_pages(), (length + 3) / 4 - first_page) << length;
  }
  std::vector<int64_t> slots(80);
  ASSERT_TRUE(cache.slot_mapping(id, 0, 0, slots).ok());
  EXPECT_EQ(slots[67], -1);
  EXPECT_GE(slots[71], 0);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Window, SinksStay) {
  KvCache cache = make_cache(20, 4, 2, 80, windowed(8, 5));
  const int64_t id = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(id, 64, {}).ok());
  ASSERT_TRUE(cache.mark_computed(id, 64).ok());
  EXPECT_EQ(cache.num_used_pages(), 2 + 2);
  EXPECT_GE(page_at(cache, id, 1), 0);
  EXPECT_EQ(page_at(cache, id, 2), -1);
  EXPECT_GE(page_at(cache, id, 14), 0);
}

TEST(Window, AHitNeedsOnlyWhatTheWindowShows) {
  KvCache cache = make_cache(20, 4, 2, 80, windowed(6, 0));
  const std::vector<int32_t> prompt = tokens(33);
  cache_prompt(cache, spec_of(prompt));
  for (int32_t page = 0; page < 20; ++page) {  // forget what lies before the last window of 32 tokens
    if (cache.statistics().cached_pages > 2) static_cast<void>(cache.evict_page(page).ok());
  }
  const StartedSequence started = cache.add_sequence(spec_of(prompt)).value();
  EXPECT_EQ(started.num_computed_tokens, 32);
  EXPECT_EQ(page_at(cache, started.id, 5), -1);
  EXPECT_GE(page_at(cache, started.id, 6), 0);
  EXPECT_GE(page_at(cache, started.id, 7), 0);
  EXPECT_EQ(cache.num_used_pages(), 2);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Window, AHoleInTheWindowShortensTheHit) {
  KvCache cache = make_cache(20, 4, 2, 80, windowed(6, 4));
  const std::vector<int32_t> prompt = tokens(33);
  const int64_t id = cache.add_sequence(spec_of(prompt)).value().id;
  std::vector<int32_t> pages;
  ASSERT_TRUE(cache.grow(id, prompt, {}).ok());
  for (int64_t column = 0; column < 8; ++column) pages.push_back(page_at(cache, id, column));
  ASSERT_TRUE(cache.mark_computed(id, 33).ok());
  ASSERT_TRUE(cache.remove_sequence(id).ok());
  ASSERT_TRUE(cache.evict_page(pages[6]).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 24) << "pages 4 and 5, and the sink";
  ASSERT_TRUE(cache.evict_page(pages[0]).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 0) << "no sink, no prefix";
}

TEST(Window, RewindNeedsThePagesOfTheWindowBefore) {
  KvCache cache = make_cache(20, 4, 2, 80, windowed(8, 0));
  const int64_t id = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(id, 40, {}).ok());
  ASSERT_TRUE(cache.mark_computed(id, 36).ok());
  EXPECT_TRUE(cache.rewind(id, 36).ok());
  const Status refused = cache.rewind(id, 34);
  EXPECT_EQ(refused.code(), StatusCode::invalid_argument);
  EXPECT_EQ(refused.message(),
            "num_tokens is 34: the window of group 0 needs tokens from 27 on, whose pages have been freed");
  EXPECT_TRUE(cache.rewind(id, 0).ok()) << "from the start nothing is needed";
  EXPECT_EQ(cache.num_used_pages(), 0);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Window, OfOneTokenRewindsToAPageThatIsThere) {
  KvCache cache = make_cache(20, 4, 2, 80, windowed(1, 0));
  const int64_t id = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(id, 40, {}).ok());
  ASSERT_TRUE(cache.mark_computed(id, 38).ok());
  EXPECT_EQ(cache.rewind(id, 34).message(),
            "num_tokens is 34: the window of group 0 needs tokens from 33 on, whose pages have been freed");
  EXPECT_TRUE(cache.rewind(id, 37).ok()) << "its page is the last one's";
  EXPECT_TRUE(cache.rewind(id, 32).ok()) << "the next token begins a page";
  EXPECT_TRUE(cache.grow(id, 3, {}).ok());
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Groups, ShareThePoolAndHaveOneHitLength) {
  KvCacheOptions options = caching();
  options.groups = {{4, 0, 0}, {16, 0, 0}, {8, 9, 0}};  // latents, keys of a quarter of their width, a windowed layer
  KvCache cache = make_cache(60, 4, 2, 80, options);
  const std::vector<int32_t> prompt = tokens(41);
  const int64_t id = run_prompt(cache, spec_of(prompt));
  EXPECT_EQ(cache.num_used_pages(), 11 + 3 + 2);
  EXPECT_EQ(cache.page_table(1).shape[1], 5);
  ASSERT_TRUE(cache.remove_sequence(id).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 32) << "a multiple of all page sizes";
  const StartedSequence started = cache.add_sequence(spec_of(prompt)).value();
  EXPECT_EQ(started.num_computed_tokens, 32);
  EXPECT_EQ(cache.num_used_pages(), 8 + 2 + 1) << "the window of 9 shows tokens 24 to 31";
  std::vector<int64_t> slots(32);
  ASSERT_TRUE(cache.slot_mapping(started.id, 1, 0, slots).ok());
  EXPECT_EQ(slots[17], page_at(cache, started.id, 1, 1) * 16 + 1);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Groups, AMissInOneGroupShortensTheHitOfAll) {
  KvCacheOptions options = caching();
  options.groups = {{4, 0, 0}, {4, 0, 0}};
  KvCache cache = make_cache(60, 4, 2, 80, options);
  const std::vector<int32_t> prompt = tokens(33);
  const int64_t id = run_prompt(cache, spec_of(prompt));
  const int32_t page = page_at(cache, id, 3, 1);
  ASSERT_TRUE(cache.remove_sequence(id).ok());
  ASSERT_TRUE(cache.evict_page(page).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 12);
}

TEST(Groups, GrowthIsAllOrNothingOverAllGroups) {
  KvCacheOptions options;
  options.groups = {{4, 0, 0}, {2, 0, 0}};
  KvCache cache = make_cache(8, 4, 2, 80, options);
  const int64_t id = cache.add_sequence().value();
  EXPECT_EQ(cache.pages_needed(id, 12), 3 + 6);
  EXPECT_EQ(cache.grow(id, 12, {}).status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(cache.shortage().needed, 9);
  EXPECT_EQ(cache.num_used_pages(), 0);
  EXPECT_TRUE(cache.grow(id, 10, {}).ok());
  EXPECT_EQ(cache.num_used_pages(), 8);
}

TEST(Groups, RefusesImpossibleOnes) {
  const auto refusal = [](std::vector<KvCacheGroup> groups) {
    KvCacheOptions options;
    options.groups = std::move(groups);
    return KvCache::make({10, 4, 1, 10}, options).status().message();
  };
  EXPECT_EQ(refusal({{-1, 0, 0}}), "groups[0].page_size is -1: must be 0 to 2147483647");
  EXPECT_EQ(refusal({{4, 0, 0}, {4, -2, 0}}), "groups[1].window is -2: must be 0 to 2147483647");
  EXPECT_EQ(refusal({{4, 0, 3}}), "groups[0].sinks is 3 but its window is 0: sinks go with a window");
  EXPECT_EQ(refusal(std::vector<KvCacheGroup>(9)), "groups has 9 entries: must be at most 8");
  EXPECT_EQ(refusal({{2147483647, 0, 0}, {2147483646, 0, 0}}),
            "groups: the page sizes have no common multiple below 1099511627776");
}

}  // namespace
}  // namespace flash_mla::test
