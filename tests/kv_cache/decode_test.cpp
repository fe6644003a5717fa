// Decode over the cache's page table, after forks, prefix hits, evictions and a restore, gives the bits of a cache
// whose pages lie in a row: page order changes no bit.
#include "flash_mla/decode.h"

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <memory>

#include "flash_mla/append.h"
#include "flash_mla/kv_cache_data.h"
#include "flash_mla/plan.h"
#include "helpers.h"

namespace flash_mla::test {
namespace {

constexpr int64_t kPageSize = 4, kWidth = 32, kValues = 24, kHeads = 4, kRows = 4, kColumns = 10;

/// The key of a token depends on all tokens up to it.
std::vector<float> keys_of(const std::vector<int32_t>& prompt) {
  std::vector<float> keys;
  double history = 0;
  for (const int32_t token : prompt) {
    history = std::fmod(history * 1.7 + token + 0.3, 97.0);
    for (int64_t i = 0; i < kWidth; ++i)
      keys.push_back(static_cast<float>(std::sin(history * static_cast<double>(i + 1))));
  }
  return keys;
}

std::vector<float> decode_all(const std::vector<float>& cache, const ConstTensor& table, const ConstTensor& seqlens) {
  std::vector<float> q(kRows * kHeads * kWidth), out(kRows * kHeads * kValues, -1);
  for (size_t i = 0; i < q.size(); ++i) q[i] = std::cos(static_cast<float>(i));
  PlanSpec spec;
  spec.shape.dtype = spec.shape.out_dtype = DType::float32;
  spec.shape.batch = kRows;
  spec.shape.h_q = kHeads;
  spec.shape.d = kWidth;
  spec.shape.d_v = kValues;
  spec.shape.page_size = kPageSize;
  spec.seqlens = static_cast<const int32_t*>(seqlens.data);
  spec.num_workers = 1;
  const Plan plan = Plan::make(spec).value();
  std::vector<std::byte> workspace(plan.workspace_size() + kWorkspaceAlignment);
  DecodeArgs args;
  args.q = {q.data(), DType::float32, {kRows, 1, kHeads, kWidth}};
  const auto pages = static_cast<int64_t>(cache.size()) / (kPageSize * kWidth);
  args.k_cache = {cache.data(), DType::float32, {pages, kPageSize, 1, kWidth}};
  args.page_table = table;
  args.seqlens = seqlens;
  args.out = {out.data(), DType::float32, {kRows, 1, kHeads, kValues}};
  void* aligned = workspace.data();
  size_t space = workspace.size();
  args.workspace = std::align(kWorkspaceAlignment, plan.workspace_size(), aligned, space);
  args.workspace_size = plan.workspace_size();
  const Status status = decode(plan, args);
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

class Paged {
 public:
  Paged()
      : cache(make_cache(16, kPageSize, kRows, kColumns * kPageSize, caching())), bytes(16 * kPageSize * kWidth, NAN) {}

  [[nodiscard]] PageArrays arrays() {
    const auto token = static_cast<int64_t>(kWidth * sizeof(float));
    return PageArrays::make({{bytes.data(), 16, kPageSize * token, 0, token, 0}}).value();
  }
  void write(int64_t id, const std::vector<int32_t>& all, int64_t first) {
    const auto rest = std::span(all).subspan(static_cast<size_t>(first));
    std::vector<int64_t> slots(rest.size());
    const PageCopies copies = cache.grow(id, rest, slots).value();
    ASSERT_TRUE(arrays().copy(copies.span()).ok());
    const std::vector<float> keys = keys_of(all);
    const auto count = static_cast<int64_t>(rest.size());
    AppendArgs args;
    args.rows = {keys.data() + first * kWidth, DType::float32, {count, 1, kWidth}};
    args.slot_mapping = {slots.data(), DType::int64, {count}};
    args.k_cache = {bytes.data(), DType::float32, {16, kPageSize, 1, kWidth}};
    ASSERT_TRUE(append(args).ok());
    ASSERT_TRUE(cache.mark_computed(id, static_cast<int64_t>(all.size())).ok());
  }
  int64_t start(const std::vector<int32_t>& prompt) {
    const StartedSequence started = cache.add_sequence(spec_of(prompt)).value();
    hits += started.num_computed_tokens;
    write(started.id, prompt, started.num_computed_tokens);
    return started.id;
  }

  KvCache cache;
  std::vector<float> bytes;
  int64_t hits = 0;
};

TEST(DecodeOverTheCache, HasTheBitsOfAContiguousCache) {
  Paged paged;
  std::vector<std::vector<int32_t>> texts(kRows);
  ASSERT_TRUE(paged.cache.remove_sequence(paged.start(tokens(30, 300))).ok());  // to be evicted
  texts[0] = tokens(13);
  const int64_t first = paged.start(texts[0]);
  texts[1] = tokens(10);
  texts[1].push_back(70);
  const int64_t second = paged.start(texts[1]);  // shares two pages
  texts[2] = texts[0];
  const int64_t third = paged.cache.fork(first).value();
  for (int32_t step = 0; step < 9; ++step) {
    for (const auto& [id, row] : {std::pair(first, 0), {second, 1}, {third, 2}}) {
      const auto length = static_cast<int64_t>(texts[row].size());
      texts[row].push_back(step * 3 + row);
      paged.write(id, texts[row], length);
    }
  }
  texts[3] = {};
  EXPECT_EQ(paged.hits, 8);
  EXPECT_GT(paged.cache.statistics().evictions, 0);
  EXPECT_EQ(paged.cache.statistics().copies, 1);

  // The same tokens, each sequence in pages of its own, in their order.
  std::vector<float> plain(kRows * kColumns * kPageSize * kWidth, NAN);
  std::vector<int32_t> table, lengths(kRows);
  for (int32_t page = 0; page < kRows * kColumns; ++page) table.push_back(page);
  for (const auto& [id, text] : {std::pair(first, texts[0]), {second, texts[1]}, {third, texts[2]}}) {
    const int64_t row = paged.cache.row_of(id);
    const std::vector<float> keys = keys_of(text);
    std::copy(keys.begin(), keys.end(), plain.begin() + row * kColumns * kPageSize * kWidth);
    lengths[row] = static_cast<int32_t>(text.size());
  }
  const std::vector<float> expected =
      decode_all(plain, {table.data(), DType::int32, {kRows, kColumns}}, {lengths.data(), DType::int32, {kRows}});
  EXPECT_EQ(decode_all(paged.bytes, paged.cache.page_table(), paged.cache.seqlens()), expected);

  const std::string path = testing::TempDir() + "flash_mla_decode_" + std::to_string(getpid());
  ASSERT_TRUE(paged.cache.snapshot(path, paged.arrays()).ok());
  std::fill(paged.bytes.begin(), paged.bytes.end(), NAN);
  Result<KvCache> restored = KvCache::restore(path, paged.arrays());
  std::filesystem::remove(path);
  ASSERT_TRUE(restored.ok()) << restored.status().message();
  EXPECT_EQ(decode_all(paged.bytes, restored.value().page_table(), restored.value().seqlens()), expected);
}

}  // namespace
}  // namespace flash_mla::test
