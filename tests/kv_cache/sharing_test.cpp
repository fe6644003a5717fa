// Forks, copies on write, handles, rewinding, and what a release build must notice.
#include <cstring>

#include "flash_mla/kv_cache_data.h"
#include "helpers.h"
#include "kv_cache/manager.h"

namespace flash_mla::test {
namespace {

TEST(Fork, SharesAllPagesAndCopiesThePartialOneOnce) {
  KvCache cache = make_cache(20, 4, 4, 40);
  const int64_t parent = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(parent, 6, {}).ok());
  const int64_t child = cache.fork(parent).value();
  EXPECT_EQ(cache.num_used_pages(), 2);
  EXPECT_EQ(cache.statistics().shared_savings(), 2);
  EXPECT_EQ(cache.length(child), 6);

  std::vector<int64_t> slot(1);
  const int32_t shared = page_at(cache, parent, 1);
  EXPECT_EQ(cache.append_tokens(child, slot).code(), StatusCode::invalid_argument) << "nobody would copy";
  const PageCopies copies = cache.grow(child, 1, slot).value();
  ASSERT_EQ(copies.count, 1);
  EXPECT_EQ(copies.items[0].from, shared);
  EXPECT_EQ(copies.items[0].to, page_at(cache, child, 1));
  EXPECT_EQ(copies.items[0].tokens, 2);
  EXPECT_EQ(slot[0], page_at(cache, child, 1) * 4 + 2);
  EXPECT_NE(page_at(cache, child, 1), shared);
  EXPECT_EQ(page_at(cache, child, 0), page_at(cache, parent, 0));
  EXPECT_EQ(cache.grow(parent, 1, slot).value().count, 0) << "it has the page to itself now";
  EXPECT_TRUE(cache.append_tokens(child, slot).ok());
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Fork, FullPagesAreNeverCopied) {
  KvCache cache = make_cache(20, 4, 4, 40);
  const int64_t parent = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(parent, 8, {}).ok());
  const int64_t child = cache.fork(parent).value();
  EXPECT_EQ(cache.grow(child, 5, {}).value().count, 0);
  EXPECT_EQ(cache.grow(parent, 5, {}).value().count, 0);
  EXPECT_EQ(cache.num_used_pages(), 6);
}

TEST(Fork, ThePageForTheCopyIsCounted) {
  KvCache cache = make_cache(2, 4, 4, 40);
  const int64_t parent = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(parent, 6, {}).ok());
  const int64_t child = cache.fork(parent).value();
  EXPECT_FALSE(cache.can_allocate(child, 1));
  EXPECT_EQ(cache.grow(child, 1, {}).status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(cache.shortage().needed, 1);
  ASSERT_TRUE(cache.remove_sequence(parent).ok());
  EXPECT_TRUE(cache.grow(child, 1, {}).ok());
}

TEST(Fork, CopiesMoveAllLayersAndTheirScales) {
  // Two layers: 656 bytes a token (FP8 with scales) and one whose scales lie behind its tokens.
  constexpr int64_t kToken = 656, kPage = 4 * kToken, kTail = 4 * 512 + 16;
  std::vector<std::byte> first(8 * kPage), second(8 * (kTail + 32));
  for (size_t i = 0; i < first.size(); ++i) first[i] = static_cast<std::byte>(i * 7);
  for (size_t i = 0; i < second.size(); ++i) second[i] = static_cast<std::byte>(i * 11);
  const PageArrays arrays =
      PageArrays::make({{first.data(), 8, kPage, 0, kToken, 0}, {second.data(), 8, kTail, kTail + 32, 0, 0}}).value();
  const std::vector<std::byte> first_before = first, second_before = second;
  ASSERT_TRUE(arrays.copy(std::vector<PageCopy>{{0, 2, 5, 3}}).ok());
  EXPECT_EQ(std::memcmp(&first[5 * kPage], &first_before[2 * kPage], 3 * kToken), 0);
  EXPECT_EQ(std::memcmp(&first[5 * kPage + 3 * kToken], &first_before[5 * kPage + 3 * kToken], kToken), 0);
  EXPECT_EQ(std::memcmp(&second[5 * (kTail + 32)], &second_before[2 * (kTail + 32)], kTail), 0) << "scales and all";
  EXPECT_EQ(std::memcmp(&second[5 * (kTail + 32) + kTail], &second_before[5 * (kTail + 32) + kTail], 32), 0);
  EXPECT_EQ(arrays.copy(std::vector<PageCopy>{{0, 2, 8, 3}}).code(), StatusCode::invalid_argument);
  EXPECT_EQ(arrays.copy(std::vector<PageCopy>{{0, -1, 2, 3}}).code(), StatusCode::invalid_argument);
}

TEST(Frozen, SequencesOnlyForkAndEnd) {
  KvCache cache = make_cache(20, 4, 4, 40);
  const int64_t id = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(id, 6, {}).ok());
  ASSERT_TRUE(cache.freeze(id).ok());
  const Status refused = cache.grow(id, 1, {}).status();
  EXPECT_EQ(refused.code(), StatusCode::invalid_argument);
  EXPECT_EQ(refused.message(), "sequence 0 is frozen: it can be forked and removed only");
  EXPECT_EQ(cache.rewind(id, 0).code(), StatusCode::invalid_argument);
  const int64_t child = cache.fork(id).value();
  EXPECT_TRUE(cache.grow(child, 1, {}).ok());
  EXPECT_TRUE(cache.remove_sequence(id).ok());
}

TEST(Rewind, DropsTokensAndPagesAndUnpublishes) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(13);
  const int64_t id = run_prompt(cache, spec_of(prompt));
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 12);
  ASSERT_TRUE(cache.rewind(id, 6).ok());
  EXPECT_EQ(cache.length(id), 6);
  EXPECT_EQ(cache.num_computed_tokens(id), 6);
  EXPECT_EQ(cache.num_used_pages(), 2);
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 4) << "page 1 is partial now, and will be overwritten";
  ASSERT_TRUE(cache.grow(id, tokens(7, 50), {}).ok());
  ASSERT_TRUE(cache.mark_computed(id, 13).ok());
  std::vector<int32_t> other = tokens(6);
  for (const int32_t token : tokens(7, 50)) other.push_back(token);
  EXPECT_EQ(cache.find_prefix(spec_of(other)).value(), 12);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Rewind, OfASharedPageLeavesTheOtherSequenceItsHash) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const std::vector<int32_t> prompt = tokens(9);
  const int64_t first = run_prompt(cache, spec_of(prompt));
  const int64_t second = cache.fork(first).value();
  ASSERT_TRUE(cache.rewind(second, 6).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 8);
  const PageCopies copies = cache.grow(second, tokens(1, 70), {}).value();
  EXPECT_EQ(copies.count, 1);
  ASSERT_TRUE(cache.remove_sequence(first).ok());
  EXPECT_EQ(cache.find_prefix(spec_of(prompt)).value(), 8);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Rewind, RejectedDraftsLeaveNoTrace) {
  KvCache cache = make_cache(20, 4, 4, 40, caching());
  const int64_t id = run_prompt(cache, spec_of(tokens(7)));
  ASSERT_TRUE(cache.grow(id, tokens(5, 90), {}).ok());  // drafts
  ASSERT_TRUE(cache.rewind(id, 8).ok());                // one accepted
  ASSERT_TRUE(cache.mark_computed(id, 8).ok());
  EXPECT_EQ(cache.num_used_pages(), 2);
  std::vector<int32_t> accepted = tokens(7);
  accepted.push_back(90);
  accepted.push_back(0);
  EXPECT_EQ(cache.find_prefix(spec_of(accepted)).value(), 8);
}

TEST(Handles, EndTheirSequence) {
  KvCache cache = make_cache(20, 4, 2, 40);
  {
    const SequenceHandle handle = cache.hold(cache.add_sequence().value()).value();
    ASSERT_TRUE(cache.grow(handle.id(), 9, {}).ok());
    SequenceHandle moved = cache.hold(cache.add_sequence().value()).value();
    moved = cache.hold(moved.release()).value();
    EXPECT_EQ(cache.statistics().sequences, 2);
  }
  EXPECT_EQ(cache.statistics().sequences, 0);
  EXPECT_EQ(cache.num_used_pages(), 0);
}

TEST(Handles, MayOutliveTheCacheAndTheSequence) {
  SequenceHandle survivor;
  {
    KvCache cache = make_cache(20, 4, 2, 40);
    survivor = cache.hold(cache.add_sequence().value()).value();
    SequenceHandle empty = cache.hold(cache.add_sequence().value()).value();
    ASSERT_TRUE(cache.remove_sequence(empty.id()).ok());
    const int64_t other = cache.add_sequence().value();
    empty.reset();  // its sequence is gone: the new one in that row is not touched
    EXPECT_EQ(cache.length(other), 0);
  }
  EXPECT_GE(survivor.id(), 0);
  survivor.reset();
}

TEST(Misuse, DoubleRemovalAndUseAfterRemovalAreRefused) {
  KvCache cache = make_cache(20, 4, 1, 40);
  const int64_t first = cache.add_sequence().value();
  ASSERT_TRUE(cache.remove_sequence(first).ok());
  const int64_t second = cache.add_sequence().value();  // in the same row
  ASSERT_TRUE(cache.grow(second, 9, {}).ok());
  EXPECT_EQ(cache.row_of(second), 0);
  EXPECT_EQ(cache.remove_sequence(first).code(), StatusCode::not_found);
  EXPECT_EQ(cache.grow(first, 1, {}).status().code(), StatusCode::not_found);
  EXPECT_EQ(cache.rewind(first, 0).code(), StatusCode::not_found);
  EXPECT_EQ(cache.mark_computed(first, 0).code(), StatusCode::not_found);
  EXPECT_EQ(cache.fork(first).status().code(), StatusCode::not_found);
  EXPECT_EQ(cache.reserve(first, 9).code(), StatusCode::not_found);
  EXPECT_EQ(cache.hold(first).status().code(), StatusCode::not_found);
  EXPECT_FALSE(cache.can_allocate(first, 1));
  EXPECT_EQ(cache.length(second), 9);
}

TEST(Misuse, APageReleasedTooOftenPoisons) {
  KvCache cache = make_cache(20, 4, 2, 40);
  const int64_t id = cache.add_sequence().value();
  ASSERT_TRUE(cache.grow(id, 9, {}).ok());
  kv_cache::Access::of(cache).release_page(page_at(cache, id, 1));  // as a defect would
  const Status found = cache.remove_sequence(id);
  EXPECT_EQ(found.code(), StatusCode::corrupt);
  EXPECT_NE(found.message().find("was released more often than it was taken"), std::string::npos) << found.message();
  EXPECT_EQ(cache.add_sequence().status().code(), StatusCode::corrupt);
}

}  // namespace
}  // namespace flash_mla::test
