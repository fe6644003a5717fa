// The replay itself: admits, prefills, decodes, verifies, until the trace, the time or the user's patience ends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/progress.h"
#include "flash_mla/decode.h"
#include "flash_mla/status.h"
#include "replay/latent_cache.h"
#include "replay/model.h"
#include "replay/trace.h"
#include "replay/verifier.h"

namespace flash_mla::cli {

struct RunConfig {
  ModelGeometry model{};
  int64_t layers = 0;
  int64_t page_size = 0;
  int64_t num_pages = 0;
  int64_t max_batch = 0;
  int threads = 0;
  std::string backend;
  uint64_t seed = 0;
  int64_t samples = 0;    ///< to verify
  double time_limit = 0;  ///< seconds; 0: none
  bool prefix_caching = true;
  int64_t window = 0;  ///< 0: none
  int64_t sinks = 0;

  [[nodiscard]] Mask mask() const { return {true, window, sinks}; }
  [[nodiscard]] CacheShape cache_shape() const { return {layers, num_pages, page_size, model.d()}; }
};

/// One decode step: all running sequences, all layers.
struct StepRecord {
  double at = 0;       ///< seconds since the start of the run
  double seconds = 0;  ///< rows written, planned and decoded
  int64_t batch = 0;   ///< sequences
  int64_t tokens = 0;  ///< in the cache, over all sequences
  int64_t used_pages = 0;
  int64_t filled = 0;  ///< tokens that the used pages hold, shared ones once
  double flop = 0;
  double bytes = 0;  ///< that decode must read and write at least
};

struct RunTimes {
  double total = 0;  ///< all below, and bookkeeping
  double prefill = 0;
  double append = 0;
  double plan = 0;
  double decode = 0;
  double verify = 0;

  /// What the service would have taken: verification is ours.
  [[nodiscard]] double service() const { return total - verify; }
};

enum class Ending { complete, time_limit, interrupted };
const char* name_of(Ending ending);

struct RunResult {
  Ending ending = Ending::complete;
  std::vector<StepRecord> steps;
  RunTimes times;
  int64_t finished = 0;  ///< requests
  int64_t preemptions = 0;
  int64_t prompt_tokens = 0;  ///< written by prefills, those after a preemption included
  int64_t shared_tokens = 0;  ///< that prefills found in the cache instead
  int64_t generated_tokens = 0;
  int64_t samples_verified = 0;
  int64_t samples_failed = 0;
  Errors worst;  ///< over the samples
};

/// Errors: invalid_argument (the cache does not fit in memory), and what the library refuses.
Result<RunResult> run_replay(const RunConfig& config, const Trace& trace, Progress& progress);

}  // namespace flash_mla::cli
