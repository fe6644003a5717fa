// The suite `kv-figures` of bench: what paging and prefix sharing are worth on real request traces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/kv_figures_lru.h"
#include "bench/kv_figures_queue.h"
#include "common/report.h"
#include "common/verb.h"

namespace flash_mla::cli {

struct KvFiguresOptions {
  std::vector<std::string> traces;  ///< files; empty: the sample that the command carries
  int64_t kv_tokens = 0;            ///< of the queue's cache; 0: 524,288, or 16 longest requests if that is more
  int64_t requests = 6000;          ///< of the queue, after the shuffle; 0: all
  std::string json;
  std::string plot;
};

struct HitRate {
  int64_t capacity = 0;  ///< blocks; kUnbounded: all that the trace has
  double rate = 0;
};
inline constexpr int64_t kUnboundedCapacity = INT64_C(1) << 40;

struct WasteRow {
  Reservation reservation;
  Waste waste;
  double at_end = 0;
};

/// Over five shuffles, seeds 0 to 4; `first` is seed 0.
struct QueueRow {
  Reservation reservation;
  QueueResult first;
  double mean_batch = 0;
  double utilisation = 0;
  double lowest_utilisation = 0;
  double highest_utilisation = 0;
};

struct TraceFigures {
  std::string trace;
  int64_t requests = 0;
  int64_t blocks = 0;              ///< 512 tokens each, with their repetitions; 0: the trace has no hashes
  std::vector<HitRate> hit_rates;  ///< empty without hashes
  std::vector<WasteRow> waste;
  int64_t budget = 0;  ///< tokens
  std::vector<QueueRow> queue;
};

/// The smallest power of two that holds the longest request: what a preallocating engine would set as its limit.
int64_t max_len_of(std::span<const Request> requests);

TraceFigures empty_figures(const Trace& trace);
std::vector<HitRate> hit_rates_of(std::span<const BlockHashes> requests);
std::vector<WasteRow> waste_of(std::span<const Request> requests);
/// Errors: invalid_argument, of simulate_queue().
Result<std::vector<QueueRow>> queue_of(const std::vector<Request>& requests, int64_t first, int64_t budget);

void print_figures(const TraceFigures& figures);
Json to_json(const TraceFigures& figures);
Status plot_figures(const std::string& path, std::span<const TraceFigures> figures);

/// Runs the suite; the exit code.
int run_kv_figures(const KvFiguresOptions& options);

}  // namespace flash_mla::cli
