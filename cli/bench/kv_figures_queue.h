// How many requests a KV cache serves at a time while more of them wait: a simulation with lengths only.
#pragma once

#include <cstdint>
#include <span>

#include "bench/kv_figures_reserve.h"
#include "flash_mla/status.h"

namespace flash_mla::cli {

/// Over the steps at which requests waited.
struct QueueResult {
  int64_t steps = 0;
  int64_t preemptions = 0;
  double mean_batch = 0;
  double utilisation = 0;  ///< tokens in the cache, of what it could hold
};

/// Requests are admitted in their order while the cache has room; each step gives every running request one more token,
/// whose place it holds from the step's beginning, and ends those that are complete. With pages, admission leaves one
/// per cent of the pool to the growth of what runs, and where growth finds no page the newest request gives up its
/// pages, waits at the head of the queue and is computed again (vLLM's policy). `budget` is the cache in tokens.
/// Errors: invalid_argument (a request that could never be admitted; the message names its line and the figures).
Result<QueueResult> simulate_queue(std::span<const Request> requests, const Reservation& reservation, int64_t budget);

}  // namespace flash_mla::cli
