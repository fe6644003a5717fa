#include "bench/kv_figures_reserve.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace flash_mla::cli {
namespace {

constexpr int64_t kSamplesOfAnAnswer = 64;

double unused(int64_t filled, int64_t held) {
  return held == 0 ? 0 : 1 - static_cast<double>(filled) / static_cast<double>(held);
}

double waste_with(std::span<const Request> requests, const Reservation& reservation, bool every_step) {
  int64_t filled = 0;
  int64_t held = 0;
  for (const Request& request : requests) {
    const int64_t stride = every_step ? 1 : std::max<int64_t>(1, request.answer / kSamplesOfAnAnswer);
    for (int64_t generated = 1; generated <= request.answer; generated += stride) {
      filled += request.prompt + generated;
      held += reservation.held(request, generated);
    }
  }
  return unused(filled, held);
}

}  // namespace

std::string Reservation::name() const {
  switch (kind) {
    case Kind::pages:
      return fmt::format("paged-{}", tokens);
    case Kind::fixed:
      return fmt::format("max_len {}", tokens);
    case Kind::prompt_plus:
      return fmt::format("in+{}", tokens);
    case Kind::power_of_two:
      return "power of two";
    case Kind::exact:
      break;
  }
  return "in+out";
}

int64_t Reservation::held(const Request& request, int64_t generated) const {
  switch (kind) {
    case Kind::pages:
      return (request.prompt + generated + tokens - 1) / tokens * tokens;
    case Kind::fixed:
      return tokens;
    case Kind::prompt_plus:
      return request.prompt + tokens;
    case Kind::power_of_two:
      return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(request.total())));
    case Kind::exact:
      break;
  }
  return request.total();
}

Waste internal_waste(std::span<const Request> requests, const Reservation& reservation) {
  return {waste_with(requests, reservation, true), waste_with(requests, reservation, false)};
}

double final_waste(std::span<const Request> requests, const Reservation& reservation) {
  int64_t filled = 0;
  int64_t held = 0;
  for (const Request& request : requests) {
    filled += request.total();
    held += reservation.held(request, request.answer);
  }
  return unused(filled, held);
}

}  // namespace flash_mla::cli
