// Random operations on a KvCache beside a naive model: kv_cache/world.h.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>

#include "kv_cache/world.h"

namespace flash_mla::test {
namespace {

class RandomChoices : public Choices {
 public:
  explicit RandomChoices(uint64_t seed) : random_(seed) {}
  int64_t below(int64_t bound) override { return static_cast<int64_t>(random_() % static_cast<uint64_t>(bound)); }

 private:
  std::mt19937_64 random_;
};

struct Setting {
  const char* name;
  WorldConfig config;
};

KvCacheOptions options_of(std::vector<KvCacheGroup> groups, bool tiers) {
  KvCacheOptions options;
  options.groups = std::move(groups);
  options.prefix_caching = true;
  options.watermark_pages = 2;
  options.max_events = 16;
  if (tiers) options.tier_pages = {11, 5};
  return options;
}

std::vector<Setting> settings() {
  KvCacheOptions weak = options_of({}, false);
  weak.hash_bits = 3;  // nearly every lookup meets strangers: tokens and ancestry must tell them apart
  KvCacheOptions bounded = options_of({{4, 9, 0}, {4, 0, 0}}, true);
  bounded.max_in_flight_tokens = 14;
  return {{"one group", {{24, 4, 6, 40}, options_of({}, true)}},
          {"pages of one token", {{60, 1, 5, 24}, options_of({}, true)}},
          {"weak hash", {{30, 2, 6, 30}, weak, 2}},
          {"window and sinks", {{30, 4, 6, 44}, options_of({{4, 10, 3}}, true)}},
          {"three groups", {{60, 4, 6, 40}, options_of({{4, 0, 0}, {2, 7, 1}, {8, 0, 0}}, true)}},
          {"window of one token", {{30, 4, 6, 44}, options_of({{4, 1, 0}, {2, 1, 3}}, true)}},
          {"window with bounded reservation", {{40, 4, 6, 40}, bounded}},
          {"no prefix cache", {{24, 3, 6, 30}, {}}}};
}

int64_t operations() {
  const char* given = std::getenv("FLASH_MLA_MODEL_OPERATIONS");
  return given != nullptr ? std::atoll(given) : FLASH_MLA_MODEL_OPERATIONS;
}

TEST(KvCacheModel, AgreesThroughSnapshotsAndRestores) {
  const std::string path = testing::TempDir() + "flash_mla_kv_cache_model_" + std::to_string(getpid());
  for (Setting setting : settings()) {
    setting.config.options.tier_pages.clear();
    RandomChoices choices(7);
    World world(setting.config, choices);
    for (int round = 0; round < 60; ++round) {
      std::string wrong;
      for (int i = 0; i < 100 && wrong.empty(); ++i) wrong = world.step();
      // Now and then a page more, so that the pool grows.
      if (wrong.empty()) wrong = world.save_and_restore(path, setting.config.geometry.num_pages + round / 12);
      ASSERT_EQ(wrong, "") << setting.name << ", round " << round;
    }
    EXPECT_EQ(world.counts["restore"], 60) << setting.name;
  }
  std::filesystem::remove(path);
}

TEST(KvCacheModel, AgreesThroughMillionsOfRandomOperations) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Setting> all = settings();
  const int64_t each = operations() / static_cast<int64_t>(all.size()) + 1;
  for (size_t i = 0; i < all.size(); ++i) {
    const uint64_t seed = 20261124 + i;
    RandomChoices choices(seed);
    World world(all[i].config, choices);
    for (int64_t operation = 0; operation < each; ++operation) {
      std::string wrong = world.step();
      if (wrong.empty() && operation % 1000 == 999) wrong = world.check_all();
      ASSERT_EQ(wrong, "") << all[i].name << ", seed " << seed << ", operation " << operation;
    }
    std::cout << all[i].name << ", seed " << seed << ": " << each << " operations;";
    for (const auto& [what, count] : world.counts) std::cout << ' ' << what << ' ' << count << ',';
    std::cout << '\n';
    for (const char* needed : {"add", "grow", "grow refused", "rewind", "fork", "remove", "misuse"}) {
      EXPECT_GT(world.counts[needed], 0) << all[i].name << " never saw " << needed;
    }
    if (all[i].config.options.prefix_caching) {
      EXPECT_GT(world.counts["hit tokens"], 0) << all[i].name;
      EXPECT_GT(world.counts["unpin"], 0) << all[i].name;
    }
    if (!all[i].config.options.tier_pages.empty()) {
      EXPECT_GT(world.counts["transfers"], 0) << all[i].name;
    }
    if (all[i].config.geometry.page_size > 1) {
      EXPECT_GT(world.counts["copied pages"], 0) << all[i].name;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::cout << each * static_cast<int64_t>(all.size()) << " operations in " << took.count() << " s\n";
}

}  // namespace
}  // namespace flash_mla::test
