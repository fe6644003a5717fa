#include "replay/scheduler.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace flash_mla::cli {
namespace {

std::vector<Request> requests_of(std::initializer_list<std::pair<int64_t, int64_t>> lengths) {
  std::vector<Request> requests;
  for (auto [prompt, answer] : lengths) requests.push_back({prompt, answer, static_cast<int64_t>(requests.size()) + 2});
  return requests;
}

KvCache cache_of(int64_t pages, int64_t page_size, int64_t rows) {
  return KvCache::make({pages, page_size, rows, 1 << 20}).value();
}

/// Admits all that may run; their requests.
std::vector<int64_t> admit_all(Scheduler& scheduler) {
  std::vector<int64_t> admitted;
  std::vector<int64_t> slots;
  while (const Sequence* sequence = scheduler.admit(slots).value()) {
    EXPECT_EQ(static_cast<int64_t>(slots.size()), sequence->length);
    admitted.push_back(sequence->request);
  }
  return admitted;
}

/// Grows and finishes; the requests that took part.
std::vector<int64_t> step(Scheduler& scheduler) {
  std::vector<int64_t> slots;
  EXPECT_TRUE(scheduler.grow(slots).ok());
  EXPECT_EQ(slots.size(), scheduler.running().size());
  std::vector<int64_t> requests;
  for (const Sequence& sequence : scheduler.running()) requests.push_back(sequence.request);
  EXPECT_TRUE(scheduler.finish_step().ok());
  return requests;
}

using Ids = std::vector<int64_t>;

TEST(Scheduler, AdmitsInOrderWhileRowsAreFree) {
  const std::vector<Request> requests = requests_of({{8, 2}, {4, 1}, {4, 2}});
  KvCache cache = cache_of(100, 4, 2);
  Scheduler scheduler(requests, cache);
  EXPECT_EQ(admit_all(scheduler), (Ids{0, 1}));
  EXPECT_EQ(step(scheduler), (Ids{0, 1}));
  EXPECT_EQ(scheduler.num_finished(), 1);
  EXPECT_EQ(admit_all(scheduler), (Ids{2}));
  EXPECT_EQ(step(scheduler), (Ids{0, 2}));
  EXPECT_EQ(step(scheduler), (Ids{2}));
  EXPECT_TRUE(scheduler.done());
  EXPECT_EQ(scheduler.num_finished(), 3);
  EXPECT_EQ(scheduler.num_preemptions(), 0);
  EXPECT_EQ(cache.num_used_pages(), 0);
}

TEST(Scheduler, AdmitsWhilePagesAreFreeAndKeepsAReserve) {
  const std::vector<Request> requests = requests_of({{11, 1}, {11, 1}, {11, 1}});
  KvCache cache = cache_of(7, 4, 8);  // two take 6 pages; 1 is the reserve
  Scheduler scheduler(requests, cache);
  EXPECT_EQ(admit_all(scheduler), (Ids{0, 1}));
  step(scheduler);
  EXPECT_EQ(admit_all(scheduler), (Ids{2}));
}

TEST(Scheduler, ARequestThatFillsThePoolRunsAlone) {
  const std::vector<Request> requests = requests_of({{20, 8}});
  KvCache cache = cache_of(7, 4, 8);
  Scheduler scheduler(requests, cache);
  EXPECT_EQ(admit_all(scheduler), (Ids{0}));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(step(scheduler), (Ids{0}));
  EXPECT_TRUE(scheduler.done());
}

TEST(Scheduler, PreemptsTheNewestAndComputesItAgain) {
  const std::vector<Request> requests = requests_of({{4, 12}, {4, 12}});
  KvCache cache = cache_of(6, 4, 8);
  Scheduler scheduler(requests, cache);
  EXPECT_EQ(admit_all(scheduler), (Ids{0, 1}));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(step(scheduler), (Ids{0, 1}));
  // Both hold 3 full pages: the ninth token of the older one takes a page of the newer one's.
  EXPECT_EQ(admit_all(scheduler), Ids{});
  EXPECT_EQ(step(scheduler), (Ids{0}));
  EXPECT_EQ(scheduler.num_preemptions(), 1);
  EXPECT_EQ(admit_all(scheduler), Ids{});  // needs 4 pages for 12 tokens and the next, 2 are free
  for (int i = 0; i < 3; ++i) EXPECT_EQ(step(scheduler), (Ids{0}));
  EXPECT_EQ(admit_all(scheduler), (Ids{1}));
  EXPECT_EQ(scheduler.running()[0].length, 4 + 8);
  EXPECT_EQ(scheduler.running()[0].generated, 8);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(step(scheduler), (Ids{1}));
  EXPECT_TRUE(scheduler.done());
}

TEST(Scheduler, ThePreemptedGoBeforeTheRestInTheirOrder) {
  const std::vector<Request> requests = requests_of({{4, 20}, {4, 20}, {4, 20}, {1, 1}});
  KvCache cache = cache_of(7, 4, 3);
  Scheduler scheduler(requests, cache);
  EXPECT_EQ(admit_all(scheduler), (Ids{0, 1, 2}));
  Ids order;
  std::set<int64_t> seen = {0, 1, 2};
  while (!scheduler.done()) {
    step(scheduler);
    for (int64_t request : admit_all(scheduler)) order.push_back(request);
  }
  // 2 and 1 give way to 0; once it is done they come back, and 3 after them; 3, then 2, give way to 1.
  EXPECT_EQ(scheduler.num_preemptions(), 4);
  EXPECT_EQ(order, (Ids{1, 2, 3, 2, 3}));
}

TEST(Scheduler, FinishesRequestsWithoutAnAnswerAtOnce) {
  const std::vector<Request> requests = requests_of({{5, 0}, {0, 0}, {0, 2}});
  KvCache cache = cache_of(4, 4, 1);
  Scheduler scheduler(requests, cache);
  EXPECT_EQ(admit_all(scheduler), (Ids{0, 1, 2}));
  EXPECT_EQ(scheduler.num_finished(), 2);
  EXPECT_EQ(step(scheduler), (Ids{2}));
  EXPECT_EQ(step(scheduler), (Ids{2}));
  EXPECT_TRUE(scheduler.done());
}

TEST(Scheduler, EveryTokenIsGeneratedOnceUnderPressure) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Request> requests;
    int64_t longest = 1;
    for (int64_t i = 0; i < 60; ++i) {
      requests.push_back({static_cast<int64_t>(random() % 50), static_cast<int64_t>(random() % 30), i + 2});
      longest = std::max(longest, requests.back().total());
    }
    KvCache cache = cache_of((longest + 3) / 4 + static_cast<int64_t>(random() % 20), 4, 1 + random() % 10);
    Scheduler scheduler(requests, cache);
    std::vector<int64_t> generated(requests.size());
    std::vector<int64_t> slots;
    while (!scheduler.done()) {
      admit_all(scheduler);
      if (scheduler.running().empty()) continue;
      ASSERT_TRUE(scheduler.grow(slots).ok());
      ASSERT_FALSE(scheduler.running().empty());
      int64_t tokens = 0;
      for (const Sequence& sequence : scheduler.running()) {
        ++generated[sequence.request];
        ASSERT_EQ(sequence.length, requests[sequence.request].prompt + generated[sequence.request]);
        tokens += sequence.length;
      }
      ASSERT_EQ(cache.num_tokens(), tokens);
      ASSERT_TRUE(scheduler.finish_step().ok());
    }
    for (size_t i = 0; i < requests.size(); ++i) ASSERT_EQ(generated[i], requests[i].answer);
    ASSERT_EQ(scheduler.num_finished(), static_cast<int64_t>(requests.size()));
    ASSERT_EQ(cache.num_used_pages(), 0);
  }
}

}  // namespace
}  // namespace flash_mla::cli
