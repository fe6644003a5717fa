// Swapping to tiers: late, doubled and foreign completions, and what they must not touch.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "flash_mla/kv_cache_data.h"
#include "helpers.h"

namespace flash_mla::test {
namespace {

KvCacheOptions with_tier(int64_t pages) {
  KvCacheOptions options = caching();
  options.tier_pages = {pages};
  return options;
}

TEST(Swap, BringsASequenceOutAndBack) {
  KvCache cache = make_cache(6, 4, 4, 40, with_tier(8));
  const int64_t id = run_prompt(cache, spec_of(tokens(11)));
  std::vector<PageTransfer> out(8), in(8);
  ASSERT_EQ(cache.swap_out(id, 0, out).value(), 3);
  EXPECT_EQ(static_cast<const int32_t*>(cache.seqlens().data)[cache.row_of(id)], 0);
  EXPECT_EQ(cache.length(id), 11);
  EXPECT_EQ(cache.num_free_tier_pages(0), 5);
  EXPECT_EQ(cache.num_used_pages(), 3) << "still being copied";
  EXPECT_EQ(cache.grow(id, 1, {}).status().code(), StatusCode::invalid_argument);
  EXPECT_FALSE(cache.can_allocate(id, 1));
  EXPECT_EQ(cache.swap_in(id, in).status().code(), StatusCode::invalid_argument) << "on its way out";
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cache.complete_transfer(out[i]).ok());
  EXPECT_EQ(cache.num_used_pages(), 0);
  ASSERT_EQ(cache.swap_in(id, in).value(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(cache.is_resident(id));
    EXPECT_EQ(in[i].tier_page, out[i].tier_page);
    ASSERT_TRUE(cache.complete_transfer(in[i]).ok());
  }
  EXPECT_TRUE(cache.is_resident(id));
  EXPECT_EQ(cache.num_free_tier_pages(0), 8);
  EXPECT_EQ(cache.grow(id, 1, {}).value().count, 0);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Swap, PagesAreNotHandedOutWhileTheyAreCopied) {
  KvCache cache = make_cache(4, 4, 4, 40, with_tier(8));
  const int64_t id = run_prompt(cache, spec_of(tokens(12)));
  std::vector<PageTransfer> out(8);
  ASSERT_EQ(cache.swap_out(id, 0, out).value(), 3);
  const int64_t other = cache.add_sequence().value();
  EXPECT_EQ(cache.grow(other, 8, {}).status().code(), StatusCode::out_of_pages);
  ASSERT_TRUE(cache.remove_sequence(id).ok()) << "the sequence may end meanwhile";
  EXPECT_EQ(cache.grow(other, 8, {}).status().code(), StatusCode::out_of_pages);
  EXPECT_EQ(cache.num_free_tier_pages(0), 5) << "nor are the tier's";
  EXPECT_TRUE(cache.verify().ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cache.complete_transfer(out[i]).ok());
  EXPECT_TRUE(cache.grow(other, 8, {}).ok());
  EXPECT_EQ(cache.num_free_tier_pages(0), 8);
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Swap, LateDoubledAndForeignCompletionsChangeNothing) {
  KvCache cache = make_cache(4, 4, 4, 40, with_tier(8));
  const int64_t id = run_prompt(cache, spec_of(tokens(4)));
  std::vector<PageTransfer> out(8), in(8);
  ASSERT_EQ(cache.swap_out(id, 0, out).value(), 1);
  PageTransfer foreign = out[0];
  foreign.epoch += 1;
  EXPECT_EQ(cache.complete_transfer(foreign).code(), StatusCode::invalid_argument);
  foreign = out[0];
  foreign.page = 3;
  EXPECT_EQ(cache.complete_transfer(foreign).code(), StatusCode::invalid_argument);
  foreign = out[0];
  foreign.id = 2;
  EXPECT_EQ(cache.complete_transfer(foreign).code(), StatusCode::not_found);
  ASSERT_TRUE(cache.complete_transfer(out[0]).ok());
  EXPECT_EQ(cache.complete_transfer(out[0]).code(), StatusCode::not_found);
  ASSERT_EQ(cache.swap_in(id, in).value(), 1);  // in the same place of the list
  EXPECT_EQ(cache.complete_transfer(out[0]).code(), StatusCode::not_found) << "a third time, when its place is taken";
  EXPECT_FALSE(cache.is_resident(id));
  ASSERT_TRUE(cache.complete_transfer(in[0]).ok());
  EXPECT_TRUE(cache.is_resident(id));
}

TEST(Swap, SharedPagesStayInThePool) {
  KvCache cache = make_cache(8, 4, 4, 40, with_tier(8));
  const int64_t parent = run_prompt(cache, spec_of(tokens(10)));
  const int64_t child = cache.fork(parent).value();
  ASSERT_TRUE(cache.grow(child, 6, {}).ok());
  std::vector<PageTransfer> out(8);
  EXPECT_EQ(cache.swap_out(child, 0, out).value(), 2) << "the copy of the partial page, and a new one";
  EXPECT_TRUE(cache.verify().ok());
}

TEST(Swap, RefusesWhatDoesNotFit) {
  KvCache cache = make_cache(8, 4, 4, 40, with_tier(2));
  const int64_t id = run_prompt(cache, spec_of(tokens(12)));
  std::vector<PageTransfer> out(8);
  EXPECT_EQ(cache.swap_out(id, 1, out).status().message(), "tier is 1: this cache has 1");
  EXPECT_EQ(cache.swap_out(id, 0, out).status().message(), "sequence 0 needs 3 pages of tier 0, but 2 of 2 are free");
  EXPECT_TRUE(cache.is_resident(id));
  EXPECT_EQ(cache.swap_in(id, out).status().message(), "sequence 0 is resident: expected one that is swapped out");
  EXPECT_EQ(cache.num_free_tier_pages(7), 0);
}

class Tiers : public testing::TestWithParam<bool> {
 protected:
  static PageTier make(int64_t pages, int64_t bytes) {
    const std::string path = testing::TempDir() + "flash_mla_tier_" + std::to_string(getpid());
    return GetParam() ? PageTier::in_file(path, pages, bytes).value() : PageTier::in_memory(pages, bytes).value();
  }
};

/// Whole way: pages of two layers through staging buffers to a tier and back, with copies that finish late.
TEST_P(Tiers, KeepTheBytesWhateverTheOrderOfCompletion) {
  KvCache cache = make_cache(6, 4, 4, 40, with_tier(6));
  constexpr int64_t kBytes = 4 * 656;
  std::vector<std::byte> layer0(6 * kBytes), layer1(6 * kBytes);
  const PageArrays arrays =
      PageArrays::make({{layer0.data(), 6, kBytes, 0, 656, 0}, {layer1.data(), 6, kBytes, 0, 656, 0}}).value();
  PageTier tier = make(6, arrays.page_bytes(0));
  StagingBuffers staging = StagingBuffers::make(3, arrays.page_bytes(0)).value();
  const int64_t id = run_prompt(cache, spec_of(tokens(12)));
  for (int64_t column = 0; column < 3; ++column) {
    const int64_t page = page_at(cache, id, column);
    std::memset(&layer0[page * kBytes], static_cast<int>(10 + column), kBytes);
    std::memset(&layer1[page * kBytes], static_cast<int>(20 + column), kBytes);
  }
  std::vector<PageTransfer> out(6), in(6);
  ASSERT_EQ(cache.swap_out(id, 0, out).value(), 3);
  std::vector<std::span<std::byte>> buffers;
  for (int i = 0; i < 3; ++i) {
    buffers.push_back(staging.acquire(out[i]).value());
    EXPECT_EQ(staging.acquire(out[i]).status().code(), StatusCode::invalid_argument) << "it has one";
    ASSERT_TRUE(arrays.gather(0, out[i].page, buffers[i]).ok());
  }
  PageTransfer fourth;
  fourth.id = 99;
  EXPECT_EQ(staging.acquire(fourth).status().code(), StatusCode::out_of_pages) << "all are in flight";
  for (const int i : {2, 0, 1}) {
    ASSERT_TRUE(tier.write(out[i].tier_page, buffers[i]).ok());
    ASSERT_TRUE(cache.complete_transfer(out[i]).ok());
    ASSERT_TRUE(staging.release(out[i]).ok());
    EXPECT_EQ(staging.release(out[i]).code(), StatusCode::not_found);
  }
  std::fill(layer0.begin(), layer0.end(), std::byte{0xee});
  std::fill(layer1.begin(), layer1.end(), std::byte{0xee});
  ASSERT_TRUE(cache.grow(cache.add_sequence().value(), 4, {}).ok());  // so that it comes back into other pages
  ASSERT_EQ(cache.swap_in(id, in).value(), 3);
  for (const int i : {1, 2, 0}) {
    const std::span<std::byte> buffer = staging.acquire(in[i]).value();
    ASSERT_TRUE(tier.read(in[i].tier_page, buffer).ok());
    ASSERT_TRUE(arrays.scatter(0, in[i].page, buffer).ok());
    ASSERT_TRUE(cache.complete_transfer(in[i]).ok());
    ASSERT_TRUE(staging.release(in[i]).ok());
  }
  EXPECT_EQ(staging.num_free(), 3);
  for (int64_t column = 0; column < 3; ++column) {
    const int64_t page = page_at(cache, id, column);
    EXPECT_EQ(layer0[page * kBytes + 77], static_cast<std::byte>(10 + column));
    EXPECT_EQ(layer1[page * kBytes + kBytes - 1], static_cast<std::byte>(20 + column));
  }
}

TEST_P(Tiers, RefuseWhatWasNeverWrittenAndWhatIsOutOfRange) {
  PageTier tier = make(2, 8);
  std::vector<std::byte> bytes(8), short_bytes(7);
  EXPECT_EQ(tier.read(0, bytes).code(), StatusCode::invalid_argument);
  EXPECT_EQ(tier.write(2, bytes).code(), StatusCode::invalid_argument);
  EXPECT_EQ(tier.write(-1, bytes).code(), StatusCode::invalid_argument);
  EXPECT_EQ(tier.write(0, short_bytes).code(), StatusCode::invalid_argument);
  EXPECT_TRUE(tier.write(0, bytes).ok());
  EXPECT_TRUE(tier.read(0, bytes).ok());
}

INSTANTIATE_TEST_SUITE_P(All, Tiers, testing::Bool(),
                         [](const auto& of) { return std::string(of.param ? "InAFile" : "InMemory"); });

TEST(TiersInFiles, RefuseAFileThatExists) {
  const std::string path = testing::TempDir() + "flash_mla_tier_exists_" + std::to_string(getpid());
  { std::ofstream(path) << "precious"; }
  EXPECT_EQ(PageTier::in_file(path, 2, 8).status().code(), StatusCode::io_error);
  EXPECT_EQ(std::filesystem::file_size(path), 8u);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace flash_mla::test
