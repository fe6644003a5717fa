// How much KV cache a replay may use: `--kv-budget`.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "flash_mla/status.h"
#include "replay/trace.h"

namespace flash_mla::cli {

struct Budget {
  int64_t amount = 0;
  bool in_tokens = false;  ///< else bytes over all layers
};

/// "2G", "512MiB", "1048576" (bytes; K, M, G and T are powers of 1024) or "131072tokens". Errors: invalid_argument.
Result<Budget> parse_budget(std::string_view text);

/// What a token of a sequence costs.
struct PageCost {
  int64_t page_size = 0;
  int64_t bytes_per_token = 0;  ///< over all layers
};

/// Pages that the budget pays for. `text` is the budget as given. Errors: invalid_argument (less than one page, or a
/// request of the trace that does not fit on its own; the message names it and the figures).
Result<int64_t> pages_of(const Budget& budget, std::string_view text, const PageCost& cost, const Trace& trace);

/// The budget taken if none is given, in tokens: 131,072, or what the longest request needs.
Budget default_budget(const PageCost& cost, std::span<const Request> requests);

}  // namespace flash_mla::cli
