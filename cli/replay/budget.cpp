#include "replay/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

namespace flash_mla::cli {
namespace {

constexpr int64_t kDefaultTokens = 131072;
constexpr int64_t kMaxPages = std::numeric_limits<int32_t>::max();  // page ids are int32

int64_t pages_for(int64_t tokens, int64_t page_size) {
  return tokens / page_size + (tokens % page_size != 0);
}

const Request& longest_of(std::span<const Request> requests) {
  return *std::max_element(requests.begin(), requests.end(),
                           [](const Request& a, const Request& b) { return a.total() < b.total(); });
}

/// The factor of a suffix, or 0 for one that is not known.
int64_t unit_of(std::string_view suffix) {
  if (suffix.empty() || suffix == "B") return 1;
  if (suffix.size() > 1 && suffix.substr(1) != "B" && suffix.substr(1) != "iB") return 0;
  constexpr std::string_view kUnits = "KMGT";
  size_t index = kUnits.find(suffix.front());
  return index == std::string_view::npos ? 0 : int64_t{1} << (10 * (index + 1));
}

}  // namespace

Result<Budget> parse_budget(std::string_view text) {
  Budget budget;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), budget.amount);
  std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  budget.in_tokens = suffix == "tokens" || suffix == "t";
  int64_t unit = budget.in_tokens ? 1 : unit_of(suffix);
  if (error != std::errc() || unit == 0 || budget.amount <= 0 ||
      budget.amount > std::numeric_limits<int64_t>::max() / unit) {
    return Status{
        StatusCode::invalid_argument,
        fmt::format("--kv-budget is '{}': must be bytes, such as 2G or 512M, or tokens, such as 131072tokens", text)};
  }
  budget.amount *= unit;
  return budget;
}

Result<int64_t> pages_of(const Budget& budget, std::string_view text, const PageCost& cost, const Trace& trace) {
  int64_t tokens = budget.in_tokens ? budget.amount : budget.amount / cost.bytes_per_token;
  int64_t countable = std::numeric_limits<int64_t>::max() / (cost.page_size * cost.bytes_per_token);
  int64_t pages = std::min({tokens / cost.page_size, kMaxPages, countable});
  const Request& longest = longest_of(trace.requests);
  int64_t needed = pages_for(longest.total(), cost.page_size);
  if (pages >= std::max<int64_t>(needed, 1)) return pages;
  int64_t least = std::max<int64_t>(needed, 1) * cost.page_size;
  return Status{
      StatusCode::invalid_argument,
      fmt::format(
          "--kv-budget {} is too small for the request at {}:{}: its {} + {} tokens need {} pages of {} tokens, "
          "but the budget holds {}; give at least {}tokens ({} bytes, at {} bytes a token)",
          text, trace.name, longest.line, longest.prompt, longest.answer, needed, cost.page_size, pages, least,
          least * cost.bytes_per_token, cost.bytes_per_token)};
}

Budget default_budget(const PageCost& cost, std::span<const Request> requests) {
  int64_t longest = pages_for(longest_of(requests).total(), cost.page_size) * cost.page_size;
  return {std::max(kDefaultTokens, longest), true};
}

}  // namespace flash_mla::cli
