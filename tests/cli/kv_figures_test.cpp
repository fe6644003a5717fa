// The parts of `bench --suite kv-figures`, and its figures on the carried sample and on the real traces.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>

#include "bench/kv_figures.h"
#include "bench/kv_figures_shuffle.h"

namespace flash_mla::cli {
namespace {

using Kind = Reservation::Kind;

/// As it is printed in a table: 36.6 for 0.36637.
double printed(double part, int digits = 1) {
  const double scale = std::pow(10.0, digits);
  return std::round(100 * part * scale) / scale;
}

std::vector<Request> requests_of(std::initializer_list<std::pair<int64_t, int64_t>> lengths) {
  std::vector<Request> requests;
  for (const auto& [prompt, answer] : lengths) {
    requests.push_back({prompt, answer, static_cast<int64_t>(requests.size()) + 1});
  }
  return requests;
}

// What CPython 3.11 prints: r = random.Random(seed); l = list(range(n)); r.shuffle(l).
TEST(KvFiguresShuffle, IsThatOfPython) {
  std::vector<int> ten(10);
  std::iota(ten.begin(), ten.end(), 0);
  std::vector<int> again = ten;
  PythonRandom(0).shuffle(ten);
  EXPECT_EQ(ten, (std::vector<int>{7, 8, 1, 5, 3, 4, 2, 0, 9, 6}));
  PythonRandom(7).shuffle(again);
  EXPECT_EQ(again, (std::vector<int>{8, 3, 1, 4, 7, 0, 9, 6, 2, 5}));
  std::vector<int> thousand(1000);  // more than the generator's state holds
  std::iota(thousand.begin(), thousand.end(), 0);
  PythonRandom(3).shuffle(thousand);
  EXPECT_EQ(thousand[0], 316);
  EXPECT_EQ(thousand[4], 905);
  EXPECT_EQ(thousand[999], 243);
}

TEST(KvFiguresLru, HitsEndAtTheFirstMissingBlock) {
  EXPECT_DOUBLE_EQ(lru_hit_rate(std::vector<BlockHashes>{{1, 2, 3}, {1, 9, 3}}, 10), 1.0 / 6);
  EXPECT_DOUBLE_EQ(lru_hit_rate(std::vector<BlockHashes>{{1, 2, 3}, {1, 2, 3, 4}}, 10), 3.0 / 7);
  EXPECT_DOUBLE_EQ(lru_hit_rate(std::vector<BlockHashes>{{1, 2, 3}, {1, 2, 3}}, 0), 0);
  EXPECT_DOUBLE_EQ(lru_hit_rate(std::vector<BlockHashes>{{}}, 10), 0);
}

TEST(KvFiguresLru, TheTailOfARequestIsEvictedBeforeItsHead) {
  // Of 1 2 3 the cache keeps two: the head, not the tail, serves the second request.
  EXPECT_DOUBLE_EQ(lru_hit_rate(std::vector<BlockHashes>{{1, 2, 3}, {1, 2, 3}}, 2), 2.0 / 6);
}

TEST(KvFiguresLru, EqualsAListThatIsSearched) {
  PythonRandom random(1);
  std::vector<BlockHashes> requests(200);
  for (BlockHashes& blocks : requests) {
    const uint32_t chain = random.below(12);
    const uint32_t length = 1 + random.below(9);
    for (uint32_t i = 0; i < length; ++i) blocks.push_back(100 * chain + i);
  }
  for (const int64_t capacity : {1, 2, 5, 13, 40, 60, 1000}) {
    std::vector<int64_t> list;  // least recently used first
    int64_t found = 0;
    int64_t all = 0;
    for (const BlockHashes& blocks : requests) {
      all += static_cast<int64_t>(blocks.size());
      found += std::find_if(blocks.begin(), blocks.end(),
                            [&](int64_t id) { return std::count(list.begin(), list.end(), id) == 0; }) -
               blocks.begin();
      for (size_t i = blocks.size(); i-- > 0;) {
        std::erase(list, blocks[i]);
        list.push_back(blocks[i]);
        if (static_cast<int64_t>(list.size()) > capacity) list.erase(list.begin());
      }
    }
    EXPECT_DOUBLE_EQ(lru_hit_rate(requests, capacity), static_cast<double>(found) / static_cast<double>(all))
        << capacity;
  }
}

TEST(KvFiguresLru, MalformedTracesAreNamed) {
  const auto message = [](const std::string& text) {
    std::istringstream stream(text);
    return read_block_hashes(stream, "t.jsonl").status().message();
  };
  EXPECT_EQ(message("{\"hash_ids\": [1, 2]}\n"), "");
  EXPECT_EQ(message("{\"hash_ids\": [1]}\n{}\n"), "t.jsonl:2: the key hash_ids is missing");
  EXPECT_EQ(message("{\"hash_ids\": 1}\n"), "t.jsonl:1: hash_ids must be an array of integers");
  EXPECT_EQ(message("{\"hash_ids\": [1.5]}\n"), "t.jsonl:1: hash_ids must be an array of integers");
  EXPECT_EQ(message("[1]\n"), "t.jsonl:1: expected a JSON object");
  EXPECT_EQ(message(""), "t.jsonl:1: the file ends without a request");
}

TEST(KvFiguresWaste, ByHand) {
  // 3 + 1, 3 + 2 tokens in pages of 4: 4 of 4, then 5 of 8.
  const std::vector<Request> one = requests_of({{3, 2}});
  EXPECT_DOUBLE_EQ(internal_waste(one, {Kind::pages, 4}).every_step, 1 - 9.0 / 12);
  EXPECT_DOUBLE_EQ(internal_waste(one, {Kind::fixed, 16}).every_step, 1 - 9.0 / 32);
  EXPECT_DOUBLE_EQ(internal_waste(one, {Kind::prompt_plus, 7}).every_step, 1 - 9.0 / 20);
  EXPECT_DOUBLE_EQ(internal_waste(one, {Kind::power_of_two, 0}).every_step, 1 - 9.0 / 16);
  EXPECT_DOUBLE_EQ(internal_waste(one, {Kind::exact, 0}).every_step, 1 - 9.0 / 10);
  EXPECT_DOUBLE_EQ(final_waste(one, {Kind::pages, 4}), 1 - 5.0 / 8);
}

TEST(KvFiguresWaste, LongAnswersAreSampled) {
  // 192 tokens of answer: looked at after 1, 4, 7 ... 190.
  const Waste waste = internal_waste(requests_of({{0, 192}}), {Kind::fixed, 200});
  EXPECT_DOUBLE_EQ(waste.every_step, 1 - 96.5 / 200);
  EXPECT_DOUBLE_EQ(waste.sampled, 1 - 95.5 / 200);
}

TEST(KvFiguresQueue, ByHand) {
  // 100 tokens hold two of these; the third waits until both end after two steps, the fourth forever in these figures.
  const std::vector<Request> four = requests_of({{10, 2}, {20, 2}, {30, 2}, {40, 2}});
  const Result<QueueResult> result = simulate_queue(four, {Kind::fixed, 50}, 100);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.value().steps, 2);
  EXPECT_DOUBLE_EQ(result.value().mean_batch, 2);
  EXPECT_DOUBLE_EQ(result.value().utilisation, (30 + 32) / 2.0 / 100);
  EXPECT_EQ(result.value().preemptions, 0);
}

TEST(KvFiguresQueue, GrowthPreemptsTheNewest) {
  // Four pages of 4 tokens, none kept back. The first two start with two pages each, the place of their next token
  // included; as the first needs a third, the second gives way and goes on once the first has ended. The third waits.
  const std::vector<Request> three = requests_of({{7, 4}, {7, 4}, {12, 1}});
  const Result<QueueResult> result = simulate_queue(three, {Kind::pages, 4}, 16);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.value().preemptions, 1);
  EXPECT_EQ(result.value().steps, 7);
  EXPECT_DOUBLE_EQ(result.value().mean_batch, (2 + 6 * 1) / 7.0);
  EXPECT_DOUBLE_EQ(result.value().utilisation, (14 + 8 + 9 + 10 + 8 + 9 + 10) / 7.0 / 16);
}

TEST(KvFiguresQueue, AdmissionLeavesOnePercentOfThePages) {
  // 200 pages of 1 token, 2 kept back: 198 tokens run beside each other, 199 do not. A step needs its token's place
  // too.
  EXPECT_DOUBLE_EQ(simulate_queue(requests_of({{97, 1}, {99, 1}, {150, 1}}), {Kind::pages, 1}, 200).value().mean_batch,
                   2);
  EXPECT_DOUBLE_EQ(simulate_queue(requests_of({{98, 1}, {99, 1}, {150, 1}}), {Kind::pages, 1}, 200).value().mean_batch,
                   1);
}

TEST(KvFiguresQueue, ARequestWithoutAnAnswerTakesAStep) {
  const Result<QueueResult> result = simulate_queue(requests_of({{9, 0}, {9, 0}}), {Kind::pages, 1}, 12);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.value().steps, 1);
  EXPECT_EQ(simulate_queue(requests_of({{12, 0}}), {Kind::pages, 1}, 12).status().code(), StatusCode::invalid_argument);
}

TEST(KvFiguresQueue, ARequestThatCanNeverRunIsRefused) {
  EXPECT_EQ(simulate_queue(requests_of({{3, 2}, {90, 20}}), {Kind::exact, 0}, 100).status().message(),
            "line 2 of the trace: 90 + 20 tokens hold 110 with in+out, but the cache admits up to 100");
}

TEST(KvFigures, TheSample) {
  std::istringstream text{std::string(sample_trace_text())};
  const Result<Trace> trace = read_trace(text, kSampleTraceName, TraceFormat::azure, 0);
  ASSERT_TRUE(trace.ok());
  const std::vector<Request>& requests = trace.value().requests;
  EXPECT_EQ(max_len_of(requests), 8192);
  EXPECT_EQ(printed(internal_waste(requests, {Kind::pages, 16}).sampled, 2), 0.58);
  EXPECT_EQ(printed(internal_waste(requests, {Kind::pages, 64}).sampled, 2), 2.42);
  EXPECT_EQ(printed(internal_waste(requests, {Kind::pages, 256}).sampled, 2), 9.24);
  const Result<std::vector<QueueRow>> queue = queue_of(requests, 0, 131072);
  ASSERT_TRUE(queue.ok()) << queue.status().message();
  const std::vector<std::pair<double, double>> expected = {{16.0, 15.9}, {40.3, 40.4}, {56.8, 58.4}, {86.6, 87.3},
                                                           {96.8, 97.7}, {95.0, 96.0}, {88.6, 89.6}};
  ASSERT_EQ(queue.value().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const QueueRow& row = queue.value()[i];
    EXPECT_EQ(printed(row.first.mean_batch / 100), expected[i].first) << row.reservation.name();
    EXPECT_EQ(printed(row.utilisation), expected[i].second) << row.reservation.name();
  }
}

/// The real traces are not part of the project: FLASH_MLA_TRACES, or a folder beside the sources.
class RealTrace : public ::testing::Test {
 protected:
  std::string find(const std::string& name) {
    const char* folder = std::getenv("FLASH_MLA_TRACES");
    std::string path = std::string(folder != nullptr ? folder : FLASH_MLA_SOURCE "/../shared/traces") + "/" + name;
    return std::filesystem::exists(path) ? path : "";
  }

  std::vector<Request> requests(const std::string& path) {
    Result<Trace> trace = read_trace_file(path, TraceFormat::automatic, 0);
    EXPECT_TRUE(trace.ok()) << trace.status().message();
    return trace.ok() ? trace.value().requests : std::vector<Request>{};
  }

  void expect_hit_rates(const std::string& path, const std::vector<std::pair<int64_t, double>>& expected) {
    std::ifstream file(path);
    const auto blocks = read_block_hashes(file, path);
    ASSERT_TRUE(blocks.ok()) << blocks.status().message();
    for (const auto& [capacity, percent] : expected) {
      EXPECT_EQ(printed(lru_hit_rate(blocks.value(), capacity)), percent) << capacity;
    }
  }

  /// Of max_len, in+2048, power of two, in+out, paged 16, 64 and 256.
  void expect_queue(const std::vector<Request>& trace, int64_t budget, const std::vector<double>& batches,
                    double utilisation, double tolerance) {
    const Result<std::vector<QueueRow>> rows = queue_of(trace, 6000, budget);
    ASSERT_TRUE(rows.ok()) << rows.status().message();
    ASSERT_EQ(rows.value().size(), batches.size());
    for (size_t i = 0; i < batches.size(); ++i) {
      const QueueRow& row = rows.value()[i];
      EXPECT_EQ(std::round(row.first.mean_batch), batches[i]) << row.reservation.name();
      EXPECT_LE(row.first.preemptions, 4) << row.reservation.name();
    }
    const QueueRow& paged_64 = rows.value()[5];
    EXPECT_EQ(paged_64.reservation.name(), "paged-64");
    EXPECT_NEAR(100 * paged_64.utilisation, utilisation, tolerance);
    EXPECT_NEAR(100 * paged_64.lowest_utilisation, utilisation, tolerance);
    EXPECT_NEAR(100 * paged_64.highest_utilisation, utilisation, tolerance);
  }
};

#define FIND_OR_SKIP(path, name)       \
  const std::string path = find(name); \
  if (path.empty()) GTEST_SKIP() << name << " is not here (FLASH_MLA_TRACES names its folder)"

// Figures that an earlier, unrelated program gave for these traces, to the printed digit.
TEST_F(RealTrace, MooncakeConversation) {
  FIND_OR_SKIP(path, "mooncake_conversation.jsonl");
  expect_hit_rates(path, {{1000, 4.5},
                          {5000, 11.2},
                          {10000, 21.2},
                          {30000, 32.6},
                          {50000, 35.5},
                          {100000, 36.4},
                          {kUnboundedCapacity, 36.6}});
  const std::vector<Request> trace = requests(path);
  EXPECT_EQ(printed(final_waste(trace, {Kind::pages, 16}), 2), 0.06);
  EXPECT_EQ(printed(final_waste(trace, {Kind::pages, 64}), 2), 0.25);
  EXPECT_EQ(printed(final_waste(trace, {Kind::pages, 256}), 2), 1.01);
  EXPECT_EQ(printed(final_waste(trace, {Kind::pages, 512}), 2), 2.01);
  EXPECT_EQ(printed(final_waste(trace, {Kind::fixed, 131072})), 90.6);
  // Powers of two: 104 was expected; this gives 104.6.
  expect_queue(trace, int64_t{1} << 21, {16, 136, 105, 151, 152, 152, 151}, 97.9, 0.3);
}

TEST_F(RealTrace, MooncakeSynthetic) {
  FIND_OR_SKIP(path, "mooncake_synthetic.jsonl");
  expect_hit_rates(
      path, {{1000, 8.4}, {5000, 27.9}, {10000, 42.4}, {30000, 62.4}, {50000, 64.0}, {kUnboundedCapacity, 64.0}});
}

TEST_F(RealTrace, AzureCode) {
  FIND_OR_SKIP(path, "azure_code.csv");
  const std::vector<Request> trace = requests(path);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::pages, 16}).sampled, 2), 0.36);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::pages, 64}).sampled, 2), 1.51);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::fixed, 8192}).sampled), 74.6);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::power_of_two, 0}).sampled), 28.6);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::prompt_plus, 2048}).sampled), 49.2);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::exact, 0}).sampled), 1.5);
  expect_queue(trace, int64_t{1} << 19, {64, 128, 175, 245, 248, 245, 234}, 97.3, 0.3);
}

TEST_F(RealTrace, AzureConversation) {
  FIND_OR_SKIP(path, "azure_conv.csv");
  const std::vector<Request> trace = requests(path);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::pages, 16}).sampled, 2), 0.63);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::pages, 64}).sampled, 2), 2.60);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::fixed, 8192}).sampled), 85.6);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::power_of_two, 0}).sampled), 38.8);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::prompt_plus, 2048}).sampled), 62.2);
  EXPECT_EQ(printed(internal_waste(trace, {Kind::exact, 0}).sampled), 8.0);
  expect_queue(trace, int64_t{1} << 19, {32, 168, 264, 374, 420, 412, 384}, 96.0, 0.3);
}

}  // namespace
}  // namespace flash_mla::cli
