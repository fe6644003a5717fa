// The figures of a finished run: what the text, the JSON file and the picture show.
#pragma once

#include <cstdint>
#include <optional>

#include "bench/roofline.h"
#include "replay/run.h"
#include "replay/trace.h"

namespace flash_mla::cli {

/// Means and percentiles are over steps. NaN where there was no step, or no credible roofline.
struct Summary {
  int64_t total_requests = 0;
  int64_t max_len = 0;  ///< tokens of the longest request, prompt and answer
  double tokens_per_s = 0;
  double step_p50 = 0;  ///< seconds
  double step_p99 = 0;
  double mean_batch = 0;
  int64_t max_batch = 0;
  double flops = 0;             ///< FLOP/s over the time of the steps
  double bytes_per_s = 0;       ///< likewise
  double share = 0;             ///< least time that the roofline allows over the time of the steps
  double compute_bound = 0;     ///< share of that least time in which compute was the bound
  double utilisation_mean = 0;  ///< tokens over token slots of the pages in use
  double utilisation_min = 0;
  double occupancy_mean = 0;      ///< pages in use over pages in the pool
  double preallocated_use = 0;    ///< tokens over token slots if each sequence had max_len of them set aside
  double preallocated_batch = 0;  ///< sequences that the pool would hold then
};

Summary summarise(const RunConfig& config, const Trace& trace, const RunResult& run,
                  const std::optional<Roofline>& roofline);

}  // namespace flash_mla::cli
