// Snapshots: what was saved comes back whole or not at all.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "flash_mla/kv_cache_data.h"
#include "helpers.h"
#include "kv_cache/snapshot_format.h"

namespace flash_mla::test {
namespace {

constexpr int64_t kPages = 12, kPageSize = 4, kTokenBytes = 6;

/// A cache with a running sequence, a fork of it, and a cached prefix; its bytes follow from `stamp`.
struct Scene {
  explicit Scene(uint8_t stamp) : bytes(kPages * kPageSize * kTokenBytes) {
    KvCacheOptions options = caching();
    options.watermark_pages = 1;
    cache = std::make_unique<KvCache>(make_cache(kPages, kPageSize, 3, 40, options));
    cache_prompt(*cache, spec_of(tokens(9, 500)));
    running = run_prompt(*cache, spec_of(tokens(10)));
    fork = cache->fork(running).value();
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 5 + stamp);
  }
  [[nodiscard]] PageArrays arrays() { return arrays_of(bytes, kPages); }
  static PageArrays arrays_of(std::vector<std::byte>& bytes, int64_t pages) {
    return PageArrays::make({{bytes.data(), pages, kPageSize * kTokenBytes, 0, kTokenBytes, 0}}).value();
  }

  std::vector<std::byte> bytes;
  std::unique_ptr<KvCache> cache;
  int64_t running = 0, fork = 0;
};

class Snapshot : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "flash_mla_snapshot_" + std::to_string(getpid());
    std::filesystem::remove(path_);
  }
  void TearDown() override {
    std::filesystem::remove(path_);
    std::filesystem::remove(path_ + ".partial");
  }
  [[nodiscard]] std::vector<char> file() const {
    std::ifstream stream(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void write(const std::vector<char>& bytes) const {
    std::ofstream stream(path_, std::ios::binary | std::ios::trunc);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  /// The message of a refusal. The arrays must not have been touched.
  std::string refusal(int64_t num_pages = 0) const {
    std::vector<std::byte> bytes(kPages * kPageSize * kTokenBytes, std::byte{0x5a});
    const Result<KvCache> restored = KvCache::restore(path_, Scene::arrays_of(bytes, kPages), num_pages);
    if (restored.ok()) return "";
    for (const std::byte byte : bytes) {
      if (byte != std::byte{0x5a}) return "the arrays were written to";
    }
    return restored.status().message();
  }
  static bool has(const std::string& message, const char* part) { return message.find(part) != std::string::npos; }

  std::string path_;
};

TEST_F(Snapshot, BringsBackSequencesPrefixesAndBytes) {
  Scene scene(1);
  ASSERT_TRUE(scene.cache->snapshot(path_, scene.arrays()).ok());
  std::vector<std::byte> bytes(20 * kPageSize * kTokenBytes);
  KvCache cache = KvCache::restore(path_, Scene::arrays_of(bytes, 20), 20).value();
  EXPECT_TRUE(cache.verify().ok());
  EXPECT_EQ(cache.geometry().num_pages, 20);
  EXPECT_EQ(cache.length(scene.running), 10);
  EXPECT_EQ(cache.num_computed_tokens(scene.fork), 10);
  EXPECT_EQ(cache.find_prefix(spec_of(tokens(9, 500))).value(), 8);
  EXPECT_EQ(cache.find_prefix(spec_of(tokens(10))).value(), 8);
  EXPECT_EQ(cache.num_used_pages(), 3);
  EXPECT_EQ(cache.statistics().cached_pages, 2);
  for (const int64_t id : {scene.running, scene.fork}) {
    for (int64_t column = 0; column < 3; ++column) {
      EXPECT_EQ(std::memcmp(&bytes[page_at(cache, id, column) * kPageSize * kTokenBytes],
                            &scene.bytes[page_at(*scene.cache, id, column) * kPageSize * kTokenBytes],
                            kPageSize * kTokenBytes),
                0);
    }
  }
  EXPECT_EQ(cache.grow(scene.fork, tokens(3), {}).value().count, 1) << "the partial page is still shared";
  EXPECT_TRUE(cache.remove_sequence(scene.running).ok());
}

TEST_F(Snapshot, IdsOfTheRemovedStayInvalid) {
  Scene scene(1);
  ASSERT_TRUE(scene.cache->remove_sequence(scene.fork).ok());
  ASSERT_TRUE(scene.cache->snapshot(path_, {}).ok());
  KvCache cache = KvCache::restore(path_, {}).value();
  const int64_t other = cache.add_sequence().value();
  EXPECT_NE(other, scene.fork);
  EXPECT_EQ(cache.remove_sequence(scene.fork).code(), StatusCode::not_found);
}

TEST_F(Snapshot, AFlipOfAnyByteIsRefused) {
  Scene scene(1);
  ASSERT_TRUE(scene.cache->snapshot(path_, scene.arrays()).ok());
  const std::vector<char> sound = file();
  ASSERT_EQ(refusal(), "");
  std::mt19937 random(3);
  for (size_t at = 0; at < sound.size(); ++at) {
    std::vector<char> flipped = sound;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << random() % 8));
    write(flipped);
    const std::string why = refusal();
    ASSERT_NE(why, "") << "byte " << at;
    ASSERT_TRUE(has(why, "the snapshot '")) << "byte " << at << ": " << why;
  }
}

TEST_F(Snapshot, AnyTruncationIsRefused) {
  Scene scene(1);
  ASSERT_TRUE(scene.cache->snapshot(path_, scene.arrays()).ok());
  const std::vector<char> sound = file();
  for (size_t size = 0; size < sound.size(); ++size) {
    write(std::vector<char>(sound.begin(), sound.begin() + static_cast<int64_t>(size)));
    const std::string why = refusal();
    ASSERT_TRUE(has(why, "is truncated") || has(why, "is no snapshot")) << size << " bytes: " << why;
  }
  std::vector<char> longer = sound;
  longer.push_back(0);
  write(longer);
  EXPECT_TRUE(has(refusal(), "has something behind its end"));
}

TEST_F(Snapshot, SaysWhyItIsRefused) {
  EXPECT_TRUE(has(refusal(), "No such file")) << refusal();
  write(std::vector<char>(1000, 'x'));
  EXPECT_TRUE(has(refusal(), "is no snapshot: it begins with other bytes"));
  Scene scene(1);
  ASSERT_TRUE(scene.cache->snapshot(path_, scene.arrays()).ok());
  std::vector<char> bytes = file();
  EXPECT_TRUE(has(refusal(4), "holds 5 pages: they do not fit into a pool of num_pages = 4"));
  bytes[offsetof(kv_cache::SnapshotHeader, version)] = 0;
  write(bytes);
  EXPECT_TRUE(has(refusal(), "is of version 0; expected version 1"));
  ASSERT_TRUE(scene.cache->snapshot(path_, scene.arrays()).ok());
  std::vector<std::byte> wide(kPages * kPageSize * 8);
  const PageArrays wider = PageArrays::make({{wide.data(), kPages, kPageSize * 8, 0, 8, 0}}).value();
  EXPECT_TRUE(
      has(KvCache::restore(path_, wider).status().message(), "has pages of 24 bytes in group 0: the arrays have 32"));
  EXPECT_TRUE(
      has(KvCache::restore(path_, {}).status().message(), "has pages of 24 bytes in group 0: the arrays have 0"));
  std::vector<std::byte> few(8 * kPageSize * kTokenBytes);
  EXPECT_TRUE(
      has(KvCache::restore(path_, Scene::arrays_of(few, 8)).status().message(), "needs arrays of 12 pages: one has 8"));
}

TEST_F(Snapshot, NeedsTransfersCompleted) {
  KvCacheOptions options = caching();
  options.tier_pages = {4};
  KvCache cache = make_cache(kPages, kPageSize, 3, 40, options);
  const int64_t id = run_prompt(cache, spec_of(tokens(5)));
  std::vector<PageTransfer> transfers(4);
  ASSERT_EQ(cache.swap_out(id, 0, transfers).value(), 2);
  EXPECT_EQ(cache.snapshot(path_, {}).message(), "2 transfers are under way: a snapshot needs them completed");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(cache.complete_transfer(transfers[i]).ok());
  EXPECT_EQ(cache.snapshot(path_, {}).message(), "sequence 0 is swapped out: a snapshot needs it in the pool");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Snapshot, FailuresLeaveTheOldFile) {
  Scene scene(1);
  ASSERT_TRUE(scene.cache->snapshot(path_, scene.arrays()).ok());
  const std::vector<char> before = file();
  std::filesystem::create_directory(path_ + ".partial");
  EXPECT_EQ(scene.cache->snapshot(path_, scene.arrays()).code(), StatusCode::io_error);
  std::filesystem::remove(path_ + ".partial");
  EXPECT_EQ(file(), before);
  EXPECT_EQ(scene.cache->snapshot("/nonexistent/folder/file", {}).code(), StatusCode::io_error);
}

/// Writers are killed at random moments; what lies there is always one of the two snapshots, whole.
TEST_F(Snapshot, KilledWritersLeaveAWholeSnapshot) {
  Scene even(0), odd(128);
  ASSERT_TRUE(even.cache->snapshot(path_, even.arrays()).ok());
  const std::vector<char> even_file = file();
  ASSERT_TRUE(odd.cache->snapshot(path_, odd.arrays()).ok());
  const std::vector<char> odd_file = file();
  ASSERT_NE(even_file, odd_file);
  std::mt19937 random(5);
  int partials = 0, evens = 0;
  constexpr int kKills = 120;
  for (int kill_number = 0; kill_number < kKills; ++kill_number) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (;;) {
        if (!even.cache->snapshot(path_, even.arrays()).ok() || !odd.cache->snapshot(path_, odd.arrays()).ok())
          _exit(1);
      }
    }
    usleep(static_cast<useconds_t>(500 + random() % 20000));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself";
    const std::vector<char> found = file();
    ASSERT_TRUE(found == even_file || found == odd_file) << "kill " << kill_number;
    ASSERT_EQ(refusal(), "");
    evens += found == even_file;
    partials += std::filesystem::exists(path_ + ".partial");
  }
  std::cout << kKills << " kills: " << evens << " left the one snapshot, " << kKills - evens << " the other, "
            << partials << " of them amid the next\n";
  EXPECT_GT(partials, 0) << "no writer was killed while it wrote";
}

}  // namespace
}  // namespace flash_mla::test
