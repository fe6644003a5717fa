// How much memory a request holds while it runs: pages, or one stretch set aside at its start; and what that wastes.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "replay/trace.h"

namespace flash_mla::cli {

struct Reservation {
  enum class Kind {
    pages,         ///< of `tokens`, taken as the sequence grows
    fixed,         ///< `tokens` for each request
    prompt_plus,   ///< its prompt and `tokens`
    power_of_two,  ///< the next power of two of prompt and answer: an oracle, as the answer's length is not known
    exact,         ///< prompt and answer: an oracle
  };

  Kind kind = Kind::pages;
  int64_t tokens = 64;

  /// "paged-64", "max_len 8192", "in+2048", "power of two", "in+out".
  [[nodiscard]] std::string name() const;
  /// Tokens that the request holds with `generated` tokens of its answer in the cache.
  [[nodiscard]] int64_t held(const Request& request, int64_t generated) const;
  [[nodiscard]] bool grows() const { return kind == Kind::pages; }
};

struct Waste {
  double every_step = 0;  ///< part of the memory held that holds no token, summed over every token generated
  /// The same, but looked at after 1, 1 + s, 1 + 2 s ... tokens with s = max(1, answer / 64), so that a long answer
  /// does not count for more than about a hundred steps.
  double sampled = 0;
};

/// Over the answers of all requests, each running on its own. A request that does not fit into what is set aside for it
/// counts with the memory that it would need beyond that as negative waste.
Waste internal_waste(std::span<const Request> requests, const Reservation& reservation);

/// The part of the memory held that holds no token when all requests are at their end.
double final_waste(std::span<const Request> requests, const Reservation& reservation);

}  // namespace flash_mla::cli
