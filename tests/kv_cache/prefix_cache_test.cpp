// The prefix cache, by the behaviours that vLLM's tests name.
#include <set>

#include "helpers.h"

namespace flash_mla::test {
namespace {

TEST(PrefixCache, HitSharesTheFullPages) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(14);
  const int64_t first = run_prompt(cache, spec_of(prompt));
  const StartedSequence second = cache.add_sequence(spec_of(prompt)).value();
  EXPECT_EQ(second.num_computed_tokens, 12);
  for (int64_t column = 0; column < 3; ++column) {
    EXPECT_EQ(page_at(cache, second.id, column), page_at(cache, first, column));
  }
  EXPECT_EQ(cache.num_used_pages(), 4);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(PrefixCache, HitNeverCoversTheLastToken) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  cache_prompt(cache, spec_of(tokens(12)));
  for (const auto& [length, hit] : {std::pair(12, 8), {13, 12}, {9, 8}, {8, 4}, {4, 0}, {1, 0}, {0, 0}}) {
    EXPECT_EQ(cache.find_prefix(spec_of(tokens(length))).value(), hit) << length << " tokens";
  }
}

TEST(PrefixCache, PartialPagesAreNotPublished) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  cache_prompt(cache, spec_of(tokens(7)));
  EXPECT_EQ(cache.find_prefix(spec_of(tokens(9))).value(), 4);
  EXPECT_EQ(cache.statistics().cached_pages, 1);
}

TEST(PrefixCache, OnlyComputedTokensArePublished) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(12);
  const int64_t id = cache.add_sequence(spec_of(prompt)).value().id;
  ASSERT_TRUE(cache.grow(id, prompt, {}).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 0) << "nothing has been written yet";
  ASSERT_TRUE(cache.mark_computed(id, 7).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 4);
  ASSERT_TRUE(cache.mark_computed(id, 12).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 8);
}

TEST(PrefixCache, TokensWithoutIdsAreNeverPublished) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const int64_t id = run_prompt(cache, spec_of(tokens(6)));
  ASSERT_TRUE(cache.grow(id, 10, {}).ok());
  ASSERT_TRUE(cache.grow(id, tokens(4, 16), {}).ok());
  ASSERT_TRUE(cache.mark_computed(id, 20).ok());
  EXPECT_EQ(cache.statistics().published_pages, 1);
}

TEST(PrefixCache, DecodedTokensArePublishedToo) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const int64_t id = run_prompt(cache, spec_of(tokens(6)));
  for (int32_t token = 6; token < 13; ++token) {
    ASSERT_TRUE(cache.grow(id, tokens(1, token), {}).ok());
    ASSERT_TRUE(cache.mark_computed(id, token + 1).ok());
  }
  EXPECT_EQ(cache.find_prefix(spec_of(tokens(20))).value(), 12);
}

TEST(PrefixCache, HashDependsOnAllTokensBefore) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  std::vector<int32_t> prompt = tokens(13);
  cache_prompt(cache, spec_of(prompt));
  prompt[0] = 99;  // the later pages hold the same tokens after another beginning
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 0);
}

TEST(PrefixCache, CacheKeySalting) {
  KvCache cache = make_cache(40, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(13);
  SequenceSpec salted = spec_of(prompt);
  salted.salt = 7;
  SequenceSpec adapted = spec_of(prompt);
  adapted.adapter = 7;
  cache_prompt(cache, salted);
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 0);
  EXPECT_EQ(cache.find_prefix(adapted).value(), 0);
  EXPECT_EQ(cache.find_prefix(salted).value(), 12);
}

TEST(PrefixCache, ExtrasTellEqualTokensApart) {
  KvCache cache = make_cache(40, 4, 4, 40, caching());
  const std::vector<int32_t> prompt(17, 5);  // placeholders
  const TokenExtra cat{2, 9, 111}, dog{2, 9, 222}, later{3, 9, 111}, longer{2, 10, 111};
  const auto with = [&](const TokenExtra& extra) {
    SequenceSpec spec = spec_of(prompt);
    spec.extras = {&extra, 1};
    return spec;
  };
  cache_prompt(cache, with(cat));
  EXPECT_EQ(cache.find_prefix(with(cat)).value(), 16);
  EXPECT_EQ(cache.find_prefix(with(dog)).value(), 0);
  EXPECT_EQ(cache.find_prefix(with(later)).value(), 0);
  EXPECT_EQ(cache.find_prefix(with(longer)).value(), 0);
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 0);
}

TEST(PrefixCache, ExtrasCountHoweverThePromptIsChunked) {
  KvCache cache = make_cache(40, 4, 4, 40, caching());
  const std::vector<int32_t> prompt(17, 5);
  const std::vector<TokenExtra> extras = {{1, 3, 9}, {6, 8, 11}};
  const int64_t id = cache.add_sequence(spec_of(prompt)).value().id;
  for (int i = 0; i < 17; ++i) {
    ASSERT_TRUE(cache.grow(id, std::span(prompt).subspan(static_cast<size_t>(i), 1), {}, extras).ok());
  }
  ASSERT_TRUE(cache.mark_computed(id, 17).ok());
  SequenceSpec spec = spec_of(prompt);
  spec.extras = extras;
  EXPECT_EQ(cache.find_prefix(spec).value(), 16);
}

TEST(PrefixCache, AnExtraCountsForTheTokensItWasGivenWith) {
  KvCache cache = make_cache(40, 4, 4, 40, caching());
  const std::vector<int32_t> prompt(9, 5);
  const TokenExtra image{1, 6, 9};
  const int64_t id = cache.add_sequence({}).value().id;
  ASSERT_TRUE(cache.grow(id, std::span(prompt).first(2), {}, {&image, 1}).ok());
  ASSERT_TRUE(cache.grow(id, std::span(prompt).subspan(2), {}).ok()) << "tokens 2 to 6 come without the image";
  ASSERT_TRUE(cache.mark_computed(id, 9).ok());
  SequenceSpec spec = spec_of(prompt);
  spec.extras = {&image, 1};
  EXPECT_EQ(cache.find_prefix(spec).value(), 0) << "there they come with it";
}

TEST(PrefixCache, CollidingHashesAreToldApart) {
  KvCacheOptions weak = caching();
  weak.hash_bits = 8;
  KvCache cache = make_cache(3000, 4, 4, 40, weak);
  for (int32_t i = 0; i < 1000; ++i) {
    std::vector<int32_t> prompt = {i, i, i, i, 1, 2, 3, 4, 0};  // a thousand beginnings, 256 hashes, one second page
    EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 0) << i;
    cache_prompt(cache, spec_of(prompt));
  }
  std::set<int32_t> second_pages;
  for (int32_t i = 0; i < 1000; ++i) {
    std::vector<int32_t> prompt = {i, i, i, i, 1, 2, 3, 4, 0};
    const StartedSequence started = cache.add_sequence(spec_of(prompt)).value();
    EXPECT_EQ(started.num_computed_tokens, 8) << i;
    EXPECT_TRUE(second_pages.insert(page_at(cache, started.id, 1)).second) << "another's ancestry";
    EXPECT_TRUE(cache.remove_sequence(started.id).ok());
  }
  EXPECT_TRUE(cache.verify().ok());
}

TEST(PrefixCache, EvictsTheLeastRecentlyUsedAndTailsBeforeHeads) {
  KvCache cache = make_cache(8, 4, 4, 40, caching());
  const std::vector<int32_t> old = tokens(13, 100), recent = tokens(17, 200);
  cache_prompt(cache, spec_of(old));     // 3 cached pages
  cache_prompt(cache, spec_of(recent));  // 4
  EXPECT_EQ(cache.statistics().cached_pages, 7);
  const int64_t id = cache.add_sequence().value();
  const auto take = [&](int64_t pages) { ASSERT_TRUE(cache.grow(id, pages * 4, {}).ok()); };
  take(2);  // the free page, and the tail of the older prompt
  EXPECT_EQ(cache.find_prefix(spec_of(old)).value(), 8);
  EXPECT_EQ(cache.find_prefix(spec_of(recent)).value(), 16);
  take(2);
  EXPECT_EQ(cache.find_prefix(spec_of(old)).value(), 0);
  take(1);
  EXPECT_EQ(cache.find_prefix(spec_of(recent)).value(), 12);
  EXPECT_EQ(cache.statistics().evictions, 4);
}

TEST(PrefixCache, AHitRenewsItsPages) {
  KvCache cache = make_cache(8, 4, 4, 40, caching());
  const std::vector<int32_t> first = tokens(13, 100), second = tokens(13, 200);
  cache_prompt(cache, spec_of(first));
  cache_prompt(cache, spec_of(second));
  cache_prompt(cache, spec_of(first));
  ASSERT_TRUE(cache.grow(cache.add_sequence().value(), 5 * 4, {}).ok());  // 2 free, 3 evicted
  EXPECT_EQ(cache.find_prefix(spec_of(first)).value(), 12);
  EXPECT_EQ(cache.find_prefix(spec_of(second)).value(), 0);
}

TEST(PrefixCache, ComputedBlocksNotEvicted) {
  KvCache cache = make_cache(4, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(9);
  cache_prompt(cache, spec_of(prompt));
  const StartedSequence started = cache.add_sequence(spec_of(prompt)).value();  // its 2 pages are in use again
  EXPECT_EQ(cache.grow(cache.add_sequence().value(), 3 * 4, {}).status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(started.num_computed_tokens, 8);
  EXPECT_EQ(cache.shortage().needed, 3);
  EXPECT_EQ(cache.shortage().free + cache.shortage().evictable, 2);
}

TEST(PrefixCache, LowPriorityGoesFirst) {
  KvCache cache = make_cache(8, 4, 4, 40, caching());
  SequenceSpec dear = spec_of(tokens(0));
  const std::vector<int32_t> a = tokens(13, 100), b = tokens(13, 200);
  dear.prompt = a;
  dear.priority = 3;
  cache_prompt(cache, dear);
  cache_prompt(cache, spec_of(b));
  ASSERT_TRUE(cache.grow(cache.add_sequence().value(), 5 * 4, {}).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(a)).value(), 12) << "older, but of higher priority";
  EXPECT_EQ(cache.find_prefix(spec_of(b)).value(), 0);
}

TEST(PrefixCache, PinnedPagesStay) {
  KvCache cache = make_cache(4, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(9);
  cache_prompt(cache, spec_of(prompt));
  EXPECT_EQ(cache.pin_prefix(spec_of(prompt)).value(), 8);
  const int64_t id = cache.add_sequence().value();
  EXPECT_EQ(cache.grow(id, 12, {}).status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(cache.unpin_prefix(spec_of(prompt), 4).code(), StatusCode::ok);  // a part of what was pinned
  EXPECT_EQ(cache.unpin_prefix(spec_of(prompt), 4).code(), StatusCode::invalid_argument) << "over-release";
  EXPECT_EQ(cache.unpin_prefix(spec_of(prompt), 8).code(), StatusCode::invalid_argument);
  EXPECT_TRUE(cache.grow(id, 12, {}).ok());
  EXPECT_TRUE(cache.verify().ok());
}

TEST(PrefixCache, MultipleBlocksPerKey) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(9);
  const int64_t first = cache.add_sequence(spec_of(prompt)).value().id;
  const int64_t second = cache.add_sequence(spec_of(prompt)).value().id;  // at the same time: both compute
  for (const int64_t id : {first, second}) {
    ASSERT_TRUE(cache.grow(id, prompt, {}).ok());
    ASSERT_TRUE(cache.mark_computed(id, 9).ok());
  }
  EXPECT_EQ(cache.statistics().published_pages, 4);
  ASSERT_TRUE(cache.evict_page(page_at(cache, first, 0)).code() == StatusCode::invalid_argument) << "in use";
  const int32_t page = page_at(cache, first, 0);
  ASSERT_TRUE(cache.remove_sequence(first).ok());
  ASSERT_TRUE(cache.evict_page(page).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 8) << "the other copy serves";
  EXPECT_TRUE(cache.verify().ok());
}

TEST(PrefixCache, ResetPrefixCache) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(9);
  const int64_t id = run_prompt(cache, spec_of(prompt));
  EXPECT_EQ(cache.reset_prefix_cache().code(), StatusCode::invalid_argument) << "pages are in use";
  ASSERT_TRUE(cache.remove_sequence(id).ok());
  ASSERT_TRUE(cache.reset_prefix_cache().ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 0);
  EXPECT_EQ(cache.statistics().free_pages, 20);
}

TEST(PrefixCache, CommonPrefixPages) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  EXPECT_EQ(cache.num_common_prefix_pages(), 0);
  std::vector<int32_t> prompt = tokens(13);
  run_prompt(cache, spec_of(prompt));
  EXPECT_EQ(cache.num_common_prefix_pages(), 3);
  prompt[9] = 77;
  run_prompt(cache, spec_of(prompt));
  EXPECT_EQ(cache.num_common_prefix_pages(), 2);
}

}  // namespace
}  // namespace flash_mla::test
