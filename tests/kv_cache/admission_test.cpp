// Admission, reservation and preemption; figures and events.
#include "helpers.h"

namespace flash_mla::test {
namespace {

TEST(Admission, EvictableHitsAreNotCountedTwice) {
  KvCache cache = make_cache(6, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(16);
  cache_prompt(cache, spec_of(prompt));  // 4 cached, 2 free
  SequenceSpec spec = spec_of(prompt);
  const Admission admission = cache.can_admit(spec).value();
  EXPECT_EQ(admission.num_computed_tokens, 12);
  EXPECT_EQ(admission.pages_needed, 1);
  EXPECT_EQ(admission.evictable_hits, 3);
  EXPECT_EQ(admission.pages_available, 6);
  EXPECT_TRUE(admission.fits);
  spec.reserve_tokens = 25;  // 3 hits, and 4 new ones of 3 that would be left
  EXPECT_FALSE(cache.can_admit(spec).value().fits);
  EXPECT_EQ(cache.add_sequence(spec).status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(cache.shortage().needed, 7);
  EXPECT_EQ(cache.statistics().sequences, 0);
  spec.reserve_tokens = 24;
  EXPECT_TRUE(cache.add_sequence(spec).ok());
}

TEST(Admission, WatermarkIsLeftByWhoIsAdmittedOnly) {
  KvCacheOptions options;
  options.watermark_pages = 3;
  KvCache cache = make_cache(8, 4, 4, 40, options);
  const std::vector<int32_t> prompt = tokens(24);
  SequenceSpec spec = spec_of(prompt);
  spec.leave_watermark = true;
  EXPECT_FALSE(cache.can_admit(spec).value().fits);
  EXPECT_EQ(cache.add_sequence(spec).status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(cache.shortage().reserved, 3);
  const int64_t id = cache.add_sequence().value();
  EXPECT_TRUE(cache.grow(id, 32, {}).ok()) << "growth may use all";
}

TEST(Reservation, GrowthCannotFail) {
  KvCache cache = make_cache(8, 4, 4, 40);
  const int64_t sure = cache.add_sequence().value(), other = cache.add_sequence().value();
  ASSERT_TRUE(cache.reserve(sure, 20).ok());
  EXPECT_EQ(cache.statistics().reserved_pages, 5);
  EXPECT_TRUE(cache.can_allocate(other, 12));
  EXPECT_FALSE(cache.can_allocate(other, 13));
  EXPECT_EQ(cache.grow(other, 13, {}).status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(cache.shortage().reserved, 5);
  EXPECT_EQ(cache.shortage().free, 8);
  ASSERT_TRUE(cache.grow(other, 12, {}).ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(cache.grow(sure, 1, {}).ok());
  EXPECT_EQ(cache.statistics().reserved_pages, 0);
  EXPECT_EQ(cache.grow(sure, 1, {}).status().code(), StatusCode::out_of_pages);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Reservation, MayBeGivenBack) {
  KvCache cache = make_cache(8, 4, 4, 40);
  const int64_t first = cache.add_sequence().value(), second = cache.add_sequence().value();
  ASSERT_TRUE(cache.reserve(first, 32).ok());
  EXPECT_EQ(cache.reserve(second, 1).code(), StatusCode::out_of_pages);
  ASSERT_TRUE(cache.reserve(first, 16).ok());
  EXPECT_TRUE(cache.reserve(second, 16).ok());
  EXPECT_EQ(cache.reserve(second, 41).code(), StatusCode::invalid_argument);
  EXPECT_TRUE(cache.remove_sequence(first).ok());
  EXPECT_EQ(cache.statistics().reserved_pages, 4);
}

TEST(Reservation, CopiesOnWriteDoNotEatIt) {
  KvCache cache = make_cache(4, 4, 4, 16);
  const int64_t parent = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(parent, 2, {}).ok());
  ASSERT_TRUE(cache.reserve(parent, 16).ok());  // the other 3 pages
  const int64_t child = cache.fork(parent).value();
  EXPECT_FALSE(cache.can_allocate(parent, 1)) << "the copy was not promised";
  EXPECT_EQ(cache.grow(parent, 1, {}).status().code(), StatusCode::out_of_pages);
  ASSERT_TRUE(cache.remove_sequence(child).ok());
  EXPECT_TRUE(cache.grow(parent, 14, {}).ok());
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Reservation, OfAWindowIsBounded) {
  KvCacheOptions options;
  options.groups = {{4, 16, 4}};
  options.max_in_flight_tokens = 8;
  KvCache cache = make_cache(9, 4, 2, 4000, options);
  const int64_t id = cache.add_sequence().value();
  ASSERT_TRUE(cache.reserve(id, 4000).ok()) << "1 sink page, 23 tokens in up to 7 pages";
  EXPECT_EQ(cache.statistics().reserved_pages, 8);
  for (int64_t length = 8; length <= 4000; length += 8) {
    ASSERT_TRUE(cache.grow(id, 8, {}).ok()) << length;
    ASSERT_TRUE(cache.mark_computed(id, length).ok());
  }
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Preemption, ByRecomputeFindsItsPagesAgain) {
  KvCache cache = make_cache(8, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(17);
  const int64_t id = run_prompt(cache, spec_of(prompt));
  ASSERT_TRUE(cache.remove_sequence(id).ok());
  const StartedSequence again = cache.add_sequence(spec_of(prompt)).value();
  EXPECT_EQ(again.num_computed_tokens, 16) << "nobody took them meanwhile";
}

TEST(Statistics, CountWasteSharingAndHits) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(13);
  const int64_t first = run_prompt(cache, spec_of(prompt));
  run_prompt(cache, spec_of(prompt));
  KvCacheStatistics s = cache.statistics();
  EXPECT_EQ(s.tokens, 26);
  EXPECT_EQ(s.used_pages, 5);
  EXPECT_EQ(s.page_references, 8);
  EXPECT_EQ(s.shared_savings(), 3);
  EXPECT_EQ(s.wasted_tokens, 6);
  EXPECT_EQ(s.query_tokens, 26);
  EXPECT_EQ(s.hit_tokens, 12);
  EXPECT_DOUBLE_EQ(s.hit_rate(), 12.0 / 26);
  EXPECT_EQ(s.allocations, 5);
  ASSERT_TRUE(cache.remove_sequence(first).ok());
  s = cache.statistics();
  EXPECT_EQ(s.cached_pages, 0) << "the other sequence still has them";
  EXPECT_EQ(s.free_pages + s.used_pages, 20);
  EXPECT_EQ(s.wasted_tokens, 3);
}

TEST(Events, TellTheChainOfPages) {
  KvCacheOptions options = caching();
  options.max_events = 8;
  KvCache cache = make_cache(3, 4, 4, 40, options);
  cache_prompt(cache, spec_of(tokens(9)));
  std::vector<KvCacheEvent> events(8);
  ASSERT_EQ(cache.take_events(events), 2);
  EXPECT_EQ(events[0].kind, KvCacheEvent::Kind::stored);
  EXPECT_EQ(events[0].num_tokens, 4);
  EXPECT_TRUE(events[1].parent_hash == events[0].hash);
  EXPECT_FALSE(events[1].hash == events[0].hash);
  const KvCacheEvent second = events[1];
  ASSERT_TRUE(cache.grow(cache.add_sequence().value(), 8, {}).ok());  // evicts one
  ASSERT_EQ(cache.take_events(events), 1);
  EXPECT_EQ(events[0].kind, KvCacheEvent::Kind::removed);
  EXPECT_TRUE(events[0].hash == second.hash);
  EXPECT_EQ(events[0].page, second.page);
}

TEST(Events, ClearedAndDropped) {
  KvCacheOptions options = caching();
  options.max_events = 2;
  KvCache cache = make_cache(10, 4, 4, 40, options);
  cache_prompt(cache, spec_of(tokens(17)));
  EXPECT_EQ(cache.statistics().dropped_events, 2);
  std::vector<KvCacheEvent> events(8);
  EXPECT_EQ(cache.take_events(events), 2);
  ASSERT_TRUE(cache.reset_prefix_cache().ok());
  ASSERT_EQ(cache.take_events(events), 1);
  EXPECT_EQ(events[0].kind, KvCacheEvent::Kind::cleared);
}

TEST(SequenceSpecs, AreRefusedByName) {
  KvCache cache = make_cache(10, 4, 4, 12, caching());
  const auto refusal = [&](const SequenceSpec& spec) {
    const Status status = cache.add_sequence(spec).status();
    EXPECT_EQ(status.code(), StatusCode::invalid_argument);
    EXPECT_EQ(cache.find_prefix(spec).status().message(), status.message());
    EXPECT_EQ(cache.can_admit(spec).status().message(), status.message());
    EXPECT_EQ(cache.pin_prefix(spec).status().message(), status.message());
    return status.message();
  };
  EXPECT_EQ(refusal(spec_of(tokens(13))), "prompt has 13 tokens: max_tokens is 12");
  SequenceSpec spec;
  spec.reserve_tokens = 13;
  EXPECT_EQ(refusal(spec), "reserve_tokens is 13: must be 0 to max_tokens = 12");
  spec.reserve_tokens = 0;
  spec.priority = 4;
  EXPECT_EQ(refusal(spec), "priority is 4: must be 0 to 3");
  spec.priority = 0;
  const std::vector<TokenExtra> disordered = {{5, 1, 1}, {4, 1, 1}};
  spec.extras = disordered;
  EXPECT_EQ(refusal(spec), "extras[1] has first = 4 and count = 1: must be in order of first, with a count above 0");
}

}  // namespace
}  // namespace flash_mla::test
