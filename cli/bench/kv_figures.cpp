#include "bench/kv_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bench/kv_figures_shuffle.h"
#include "common/plot.h"

namespace flash_mla::cli {
namespace {

constexpr uint32_t kSeeds = 5;
constexpr int64_t kDefaultBudget = 524288;  // tokens
constexpr int64_t kLeastBatch = 16;         // longest requests that the default budget holds
constexpr int64_t kPromptMargin = 2048;     // a usual limit on answers
constexpr int64_t kPageSizes[] = {16, 64, 256};

using Kind = Reservation::Kind;

std::vector<Reservation> reservations(int64_t max_len) {
  std::vector<Reservation> list = {
      {Kind::fixed, max_len}, {Kind::prompt_plus, kPromptMargin}, {Kind::power_of_two, 0}, {Kind::exact, 0}};
  for (const int64_t page : kPageSizes) list.push_back({Kind::pages, page});
  return list;
}

Result<Trace> load_trace(const std::string& path) {
  if (!path.empty()) {
    Result<Trace> trace = read_trace_file(path, TraceFormat::automatic, 0);
    if (trace.ok()) trace.value().name = std::filesystem::path(path).filename();
    return trace;
  }
  std::istringstream sample{std::string(sample_trace_text())};
  return read_trace(sample, kSampleTraceName, TraceFormat::azure, 0);
}

Result<TraceFigures> figures_of(const std::string& path, const KvFiguresOptions& options) {
  const Result<Trace> trace = load_trace(path);
  if (!trace.ok()) return trace.status();
  const std::vector<Request>& requests = trace.value().requests;
  TraceFigures figures = empty_figures(trace.value());
  if (trace.value().format == TraceFormat::mooncake) {
    std::ifstream file(path, std::ios::binary);
    const auto blocks = read_block_hashes(file, path);
    if (!blocks.ok()) return blocks.status();
    for (const BlockHashes& of_request : blocks.value()) figures.blocks += static_cast<int64_t>(of_request.size());
    figures.hit_rates = hit_rates_of(blocks.value());
  }
  figures.waste = waste_of(requests);
  figures.budget = options.kv_tokens;
  if (figures.budget == 0) figures.budget = std::max(kDefaultBudget, kLeastBatch * max_len_of(requests));
  Result<std::vector<QueueRow>> queue = queue_of(requests, options.requests, figures.budget);
  if (!queue.ok())
    return Status{queue.status().code(), fmt::format("{}: {}", trace.value().name, queue.status().message())};
  figures.queue = std::move(queue).value();
  return figures;
}

}  // namespace

int64_t max_len_of(std::span<const Request> requests) {
  int64_t longest = 1;
  for (const Request& request : requests) longest = std::max(longest, request.total());
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(longest)));
}

TraceFigures empty_figures(const Trace& trace) {
  TraceFigures figures;
  figures.trace = trace.name;
  figures.requests = static_cast<int64_t>(trace.requests.size());
  return figures;
}

std::vector<HitRate> hit_rates_of(std::span<const BlockHashes> requests) {
  std::vector<HitRate> rates;
  for (const int64_t capacity : {100, 200, 500, 1000, 2000, 5000, 10000, 20000, 30000, 50000, 100000, 200000}) {
    rates.push_back({capacity, lru_hit_rate(requests, capacity)});
  }
  rates.push_back({kUnboundedCapacity, lru_hit_rate(requests, kUnboundedCapacity)});
  return rates;
}

std::vector<WasteRow> waste_of(std::span<const Request> requests) {
  std::vector<WasteRow> rows;
  for (const Reservation& reservation : reservations(max_len_of(requests))) {
    rows.push_back({reservation, internal_waste(requests, reservation), final_waste(requests, reservation)});
  }
  return rows;
}

Result<std::vector<QueueRow>> queue_of(const std::vector<Request>& requests, int64_t first, int64_t budget) {
  std::vector<QueueRow> rows;
  for (const Reservation& reservation : reservations(max_len_of(requests))) {
    QueueRow row;
    row.reservation = reservation;
    row.lowest_utilisation = 1;
    for (uint32_t seed = 0; seed < kSeeds; ++seed) {
      std::vector<Request> shuffled = requests;
      PythonRandom(seed).shuffle(shuffled);
      if (first > 0 && first < static_cast<int64_t>(shuffled.size())) shuffled.resize(static_cast<size_t>(first));
      const Result<QueueResult> result = simulate_queue(shuffled, reservation, budget);
      if (!result.ok()) return result.status();
      if (seed == 0) row.first = result.value();
      row.mean_batch += result.value().mean_batch / kSeeds;
      row.utilisation += result.value().utilisation / kSeeds;
      row.lowest_utilisation = std::min(row.lowest_utilisation, result.value().utilisation);
      row.highest_utilisation = std::max(row.highest_utilisation, result.value().utilisation);
    }
    rows.push_back(row);
  }
  return rows;
}

int run_kv_figures(const KvFiguresOptions& options) {
  std::vector<TraceFigures> all;
  const std::vector<std::string> sample = {""};
  for (const std::string& path : options.traces.empty() ? sample : options.traces) {
    Result<TraceFigures> figures = figures_of(path, options);
    if (!figures.ok()) return fail(figures.status());
    print_figures(figures.value());
    all.push_back(std::move(figures).value());
  }
  if (!options.json.empty()) {
    Json json = report_head("bench");
    json["suite"] = "kv-figures";
    json["traces"] = Json::array();
    for (const TraceFigures& figures : all) json["traces"].push_back(to_json(figures));
    if (const Status status = write_json(options.json, json); !status.ok()) return fail(status);
  }
  if (!options.plot.empty()) {
    if (const Status status = plot_figures(options.plot, all); !status.ok()) return fail(status);
  }
  return kExitOk;
}

}  // namespace flash_mla::cli
