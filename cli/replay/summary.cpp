#include "replay/summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace flash_mla::cli {
namespace {

/// The smallest value that at least this share of the values do not exceed.
double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto count = static_cast<double>(values.size());
  const auto rank = static_cast<size_t>(std::max(std::ceil(share * count) - 1, 0.0));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank), values.end());
  return values[rank];
}

}  // namespace

Summary summarise(const RunConfig& config, const Trace& trace, const RunResult& run,
                  const std::optional<Roofline>& roofline) {
  Summary summary;
  summary.total_requests = static_cast<int64_t>(trace.requests.size());
  summary.max_len = longest_request(trace);
  summary.tokens_per_s = static_cast<double>(run.generated_tokens) / run.times.service();

  const auto page_size = static_cast<double>(config.page_size);
  const auto num_pages = static_cast<double>(config.num_pages);
  double seconds = 0;
  double flop = 0;
  double bytes = 0;
  double least = 0;
  double least_compute = 0;
  summary.utilisation_min = std::numeric_limits<double>::infinity();
  std::vector<double> step_seconds;
  for (const StepRecord& step : run.steps) {
    const RooflineTime bound = roofline ? bound_time(*roofline, step.flop, step.bytes) : RooflineTime{};
    const auto batch = static_cast<double>(step.batch);
    const auto tokens = static_cast<double>(step.tokens);
    const auto pages = static_cast<double>(step.used_pages);
    const auto filled = static_cast<double>(step.filled);
    seconds += step.seconds;
    flop += step.flop;
    bytes += step.bytes;
    least += bound.seconds;
    if (bound.bound == Bound::compute) least_compute += bound.seconds;
    summary.mean_batch += batch;
    summary.max_batch = std::max(summary.max_batch, step.batch);
    summary.utilisation_mean += filled / (pages * page_size);
    summary.utilisation_min = std::min(summary.utilisation_min, filled / (pages * page_size));
    summary.occupancy_mean += pages / num_pages;
    summary.preallocated_use += tokens / (batch * static_cast<double>(summary.max_len));
    step_seconds.push_back(step.seconds);
  }
  const auto steps = static_cast<double>(run.steps.size());
  summary.step_p50 = percentile(step_seconds, 0.5);
  summary.step_p99 = percentile(step_seconds, 0.99);
  summary.mean_batch /= steps;
  summary.flops = flop / seconds;
  summary.bytes_per_s = bytes / seconds;
  summary.share = roofline && roofline->credible() ? least / seconds : std::numeric_limits<double>::quiet_NaN();
  summary.compute_bound = least_compute / least;
  summary.utilisation_mean /= steps;
  summary.occupancy_mean /= steps;
  summary.preallocated_use /= steps;
  summary.preallocated_batch =
      std::floor(num_pages * page_size / static_cast<double>(std::max<int64_t>(summary.max_len, 1)));
  return summary;
}

}  // namespace flash_mla::cli
