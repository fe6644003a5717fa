// Random operations on a KvCache and on a naive model of it: a map from sequence to the slots of its tokens.
#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "flash_mla/kv_cache.h"

namespace flash_mla {
namespace {

class Model {
 public:
  explicit Model(const KvCacheGeometry& geometry) : geometry_(geometry) {}

  [[nodiscard]] int64_t pages(int64_t tokens) const { return (tokens + geometry_.page_size - 1) / geometry_.page_size; }
  [[nodiscard]] int64_t used_pages() const {
    int64_t sum = 0;
    for (const auto& [sequence, slots] : sequences) sum += pages(static_cast<int64_t>(slots.size()));
    return sum;
  }
  [[nodiscard]] int64_t tokens() const {
    int64_t sum = 0;
    for (const auto& [sequence, slots] : sequences) sum += static_cast<int64_t>(slots.size());
    return sum;
  }

  std::map<int64_t, std::vector<int64_t>> sequences;

 private:
  KvCacheGeometry geometry_;
};

/// Everything the cache shows must be what the model says.
void compare(const KvCache& cache, const Model& model) {
  const KvCacheGeometry& geometry = cache.geometry();
  ASSERT_EQ(cache.num_used_pages(), model.used_pages());
  ASSERT_EQ(cache.num_free_pages(), geometry.num_pages - model.used_pages());
  ASSERT_EQ(cache.num_tokens(), model.tokens());
  const auto* table = static_cast<const int32_t*>(cache.page_table().data);
  const auto* lengths = static_cast<const int32_t*>(cache.seqlens().data);
  std::set<int32_t> pages_seen;
  for (int64_t row = 0; row < geometry.max_sequences; ++row) {
    auto found = model.sequences.find(row);
    if (found == model.sequences.end()) {
      ASSERT_EQ(lengths[row], 0);
      continue;
    }
    const std::vector<int64_t>& slots = found->second;
    ASSERT_EQ(lengths[row], static_cast<int32_t>(slots.size()));
    for (int64_t token = 0; token < lengths[row]; ++token) {
      int32_t page = table[row * cache.page_table().strides[0] + token / geometry.page_size];
      ASSERT_GE(page, 0);
      ASSERT_LT(page, geometry.num_pages);
      ASSERT_EQ(slots[token], page * geometry.page_size + token % geometry.page_size);
      if (token % geometry.page_size == 0) {
        ASSERT_TRUE(pages_seen.insert(page).second) << "page " << page << " has two owners";
      }
    }
  }
}

void run(const KvCacheGeometry& geometry, uint32_t seed, int operations) {
  KvCache cache = KvCache::make(geometry).value();
  Model model(geometry);
  std::mt19937 random(seed);
  auto below = [&](int64_t bound) { return static_cast<int64_t>(random() % static_cast<uint64_t>(bound)); };
  int refused_pages = 0;
  int refused_rows = 0;
  int refused_length = 0;
  for (int i = 0; i < operations; ++i) {
    int64_t kind = below(10);
    if (kind == 0) {
      Result<int64_t> added = cache.add_sequence();
      bool full = static_cast<int64_t>(model.sequences.size()) == geometry.max_sequences;
      ASSERT_EQ(added.ok(), !full);
      refused_rows += full;
      if (added.ok()) {
        ASSERT_TRUE(model.sequences.emplace(added.value(), std::vector<int64_t>()).second);
      }
    } else if (kind == 1 && !model.sequences.empty() && below(2) == 0) {
      auto victim = std::next(model.sequences.begin(), below(static_cast<int64_t>(model.sequences.size())));
      ASSERT_TRUE(cache.remove_sequence(victim->first).ok());
      model.sequences.erase(victim);
    } else if (!model.sequences.empty()) {
      auto target = std::next(model.sequences.begin(), below(static_cast<int64_t>(model.sequences.size())));
      std::vector<int64_t>& owned = target->second;
      auto length = static_cast<int64_t>(owned.size());
      int64_t added = below(3) == 0 ? below(3 * geometry.page_size) : 1;
      bool too_long = length + added > geometry.max_tokens;
      int64_t needed = model.pages(length + added) - model.pages(length);
      bool no_pages = needed > geometry.num_pages - model.used_pages();
      ASSERT_EQ(cache.pages_needed(target->first, added), needed);
      std::vector<int64_t> slots(static_cast<size_t>(added), -7);
      Status status = cache.append_tokens(target->first, slots);
      StatusCode expected = too_long   ? StatusCode::invalid_argument
                            : no_pages ? StatusCode::out_of_pages
                                       : StatusCode::ok;
      ASSERT_EQ(status.code(), expected) << status.message();
      refused_length += too_long;
      refused_pages += !too_long && no_pages;
      if (status.ok()) {
        owned.insert(owned.end(), slots.begin(), slots.end());
      } else {
        ASSERT_EQ(slots, std::vector<int64_t>(slots.size(), -7));
      }
    }
    if (i % 16 == 0) {
      ASSERT_NO_FATAL_FAILURE(compare(cache, model));
    }
  }
  compare(cache, model);
  EXPECT_GT(refused_pages, 0) << "the run never filled the pool";
  EXPECT_GT(refused_rows, 0) << "the run never filled the rows";
  EXPECT_GT(refused_length, 0) << "the run never reached max_tokens";
}

TEST(KvCacheModel, AgreesThroughRandomOperations) {
  for (uint32_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_FATAL_FAILURE(run({40, 4, 6, 60}, seed, 20000));
    ASSERT_NO_FATAL_FAILURE(run({50, 1, 4, 30}, seed, 20000));
    ASSERT_NO_FATAL_FAILURE(run({12, 63, 5, 300}, seed, 20000));
  }
}

}  // namespace
}  // namespace flash_mla
