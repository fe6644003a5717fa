// Nanoseconds an operation of the KV cache, against the size of its pool.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <numeric>
#include <vector>

#include "bench/kv_suite.h"
#include "common/interrupt.h"
#include "common/table.h"
#include "flash_mla/kv_cache.h"

namespace flash_mla::cli {
namespace {

constexpr int kRepetitions = 7;  // the median counts
constexpr double kSeconds = 0.05;

/// Of this thread's processor time, so that other programs on the machine do not count.
double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Nanoseconds an operation: the median of repetitions of at least kSeconds. `run` does `operations` of them, and
/// undoes untimed what the next round needs.
template <class Run, class Undo>
double nanoseconds(int64_t operations, Run&& run, Undo&& undo) {
  std::vector<double> results;
  for (int repetition = 0; repetition < kRepetitions && !interrupted(); ++repetition) {
    double seconds = 0;
    int64_t done = 0;
    while (seconds < kSeconds) {
      const double start = seconds_now();
      run();
      seconds += seconds_now() - start;
      done += operations;
      undo();
    }
    results.push_back(seconds * 1e9 / static_cast<double>(done));
  }
  if (results.empty()) return 0;
  std::nth_element(results.begin(), results.begin() + static_cast<int64_t>(results.size() / 2), results.end());
  return results[results.size() / 2];
}

struct Row {
  int64_t pages = 0;
  double allocate = 0, release = 0, evict = 0, lookup = 0, fork = 0, append = 0;
};

constexpr int64_t kPageSize = 16;
constexpr int64_t kChunk = 512;  // pages a sequence
constexpr int64_t kBatch = 256;

/// Fails loudly inside a timed loop: a benchmark of refusals would look fast.
struct Must {
  Status status;
  void operator()(const Status& given) {
    if (!given.ok() && status.ok()) status = given;
  }
};

/// Half of the pool is in use throughout, so that its size is felt.
Result<Row> measure(int64_t pages) {
  Row row;
  row.pages = pages;
  Must must;
  const int64_t chunk = std::min(kChunk, pages / 4);
  const int64_t filler_rows = pages / 2 / chunk;
  KvCacheGeometry geometry{pages, kPageSize, filler_rows + kBatch + 8, chunk * kPageSize};
  Result<KvCache> made = KvCache::make(geometry);
  if (!made.ok()) return made.status();
  KvCache& cache = made.value();
  for (int64_t i = 0; i < filler_rows; ++i)
    must(cache.grow(cache.add_sequence().value(), chunk * kPageSize, {}).status());

  int64_t id = cache.add_sequence().value();
  row.allocate = nanoseconds(
      chunk, [&] { must(cache.grow(id, chunk * kPageSize, {}).status()); }, [&] { must(cache.rewind(id, 0)); });
  must(cache.grow(id, chunk * kPageSize, {}).status());
  row.release = nanoseconds(
      chunk, [&] { must(cache.remove_sequence(id)); },
      [&] {
        id = cache.add_sequence().value();
        must(cache.grow(id, chunk * kPageSize, {}).status());
      });
  int64_t child = -1;
  row.fork = nanoseconds(
      chunk, [&] { child = cache.fork(id).value(); }, [&] { must(cache.remove_sequence(child)); });
  must(cache.remove_sequence(id));

  std::vector<int64_t> batch;
  const int64_t sequences = std::min(kBatch, pages / 4);
  for (int64_t i = 0; i < sequences; ++i) batch.push_back(cache.add_sequence().value());
  int64_t length = 0;
  std::vector<int64_t> slot(1);
  row.append = nanoseconds(
      sequences,
      [&] {
        for (const int64_t sequence : batch) must(cache.append_tokens(sequence, slot));
        ++length;
      },
      [&] {
        if (length < kPageSize) return;
        for (const int64_t sequence : batch) must(cache.rewind(sequence, 0));
        length = 0;
      });
  return must.status.ok() ? Result<Row>(row) : must.status;
}

/// The same with a prefix cache that fills half of the pool.
Status measure_prefix(Row& row) {
  Must must;
  const int64_t chunk = std::min(kChunk, row.pages / 4);
  KvCacheOptions options;
  options.prefix_caching = true;
  options.hash_key = KvCacheHash{1, 2};
  Result<KvCache> made = KvCache::make({row.pages, kPageSize, 8, chunk * kPageSize + 1}, options);
  if (!made.ok()) return made.status();
  KvCache& cache = made.value();
  std::vector<int32_t> prompt(static_cast<size_t>(chunk * kPageSize + 1));
  int32_t next = 0;
  const auto fill = [&](uint64_t salt) {
    SequenceSpec spec;
    spec.prompt = prompt;
    spec.salt = salt;
    const StartedSequence started = cache.add_sequence(spec).value();
    const auto rest = std::span<const int32_t>(prompt).subspan(static_cast<size_t>(started.num_computed_tokens));
    must(cache.grow(started.id, rest, {}).status());
    must(cache.mark_computed(started.id, static_cast<int64_t>(prompt.size())));
    must(cache.remove_sequence(started.id));
  };
  std::iota(prompt.begin(), prompt.end(), next);
  for (int64_t i = 0; i < row.pages / 2 / chunk; ++i) fill(static_cast<uint64_t>(i));
  SequenceSpec spec;
  spec.prompt = prompt;
  int64_t found = 0;
  row.lookup = nanoseconds(
      chunk, [&] { found = cache.find_prefix(spec).value(); }, [] {});
  if (found != chunk * kPageSize) must(Status(StatusCode::not_found, "the prompt that was cached is not found"));

  // All of the pool is cached: each page that is taken evicts another.
  for (int64_t i = row.pages / 2 / chunk; i <= row.pages / chunk; ++i) fill(static_cast<uint64_t>(i));
  const int64_t id = cache.add_sequence().value();
  const int64_t evictable = cache.statistics().cached_pages;
  int64_t length = 0;
  if (evictable >= chunk) {
    const double start = seconds_now();
    must(cache.grow(id, chunk * kPageSize, {}).status());
    length = chunk;
    row.evict = (seconds_now() - start) * 1e9 / static_cast<double>(length);
  }
  return must.status;
}

Json to_json(const Row& row) {
  return {{"pool_pages", row.pages}, {"allocate_ns", row.allocate}, {"free_ns", row.release}, {"evict_ns", row.evict},
          {"lookup_ns", row.lookup}, {"fork_ns", row.fork},         {"append_ns", row.append}};
}

}  // namespace

Result<KvFindings> measure_kv_operations(const KvSuiteOptions& options) {
  std::vector<Row> rows;
  for (int64_t pages = 1000; pages <= (options.full ? 10'000'000 : 1'000'000) && !interrupted(); pages *= 10) {
    Result<Row> row = measure(pages);
    if (!row.ok()) return row.status();
    if (const Status status = measure_prefix(row.value()); !status.ok()) return status;
    rows.push_back(row.value());
  }
  Table table({"pool pages", "allocate", "free", "evict + allocate", "lookup", "fork", "append"});
  const auto cell = [](double ns) { return fmt::format("{:.1f}", ns); };
  KvFindings findings;
  findings.json = Json::array();
  for (const Row& row : rows) {
    table.add_row({fmt::format("{}", row.pages), cell(row.allocate), cell(row.release), cell(row.evict),
                   cell(row.lookup), cell(row.fork), cell(row.append)});
    findings.json.push_back(to_json(row));
  }
  table.print();
  fmt::print(
      "Nanoseconds: a page (allocate, free, evict + allocate, fork), a block of {} tokens (lookup: hash, find, compare "
      "the tokens), a token of one of {} sequences (append). Processor time of one thread, medians; evict + allocate: "
      "once through {} "
      "pages.\n",
      kPageSize, kBatch, kChunk);
  findings.plot_title = "KV cache: time an operation against the size of the pool";
  Panel panel;
  panel.x_label = "pages in the pool";
  panel.y_label = "ns an operation";
  panel.log_x = true;
  const auto add = [&](const char* label, double Row::*field) {
    Series series{label, {}, {}, false};
    for (const Row& row : rows) {
      series.x.push_back(static_cast<double>(row.pages));
      series.y.push_back(row.*field);
    }
    panel.series.push_back(std::move(series));
  };
  add("allocate a page", &Row::allocate);
  add("free a page", &Row::release);
  add("evict and allocate a page", &Row::evict);
  add("look up a block", &Row::lookup);
  add("fork, a page", &Row::fork);
  add("append a token", &Row::append);
  findings.panels.push_back(std::move(panel));
  return findings;
}

}  // namespace flash_mla::cli
