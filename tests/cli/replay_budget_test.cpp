#include "replay/budget.h"

#include <gtest/gtest.h>

namespace flash_mla::cli {
namespace {

TEST(Budget, ParsesBytesAndTokens) {
  struct Good {
    const char* text;
    int64_t amount;
    bool in_tokens;
  };
  for (const Good& good :
       {Good{"1", 1, false}, Good{"7B", 7, false}, Good{"2K", 2048, false}, Good{"3MB", 3 << 20, false},
        Good{"4GiB", int64_t{4} << 30, false}, Good{"1T", int64_t{1} << 40, false}, Good{"100t", 100, true},
        Good{"100tokens", 100, true}}) {
    Result<Budget> budget = parse_budget(good.text);
    ASSERT_TRUE(budget.ok()) << good.text;
    EXPECT_EQ(budget.value().amount, good.amount) << good.text;
    EXPECT_EQ(budget.value().in_tokens, good.in_tokens) << good.text;
  }
}

TEST(Budget, RefusesOtherText) {
  for (const char* text :
       {"", "0", "-1", "M", "1.5G", "2X", "2GiBs", "9223372036854775807K", "2 G", "9223372036854775808"}) {
    Result<Budget> budget = parse_budget(text);
    ASSERT_FALSE(budget.ok()) << text;
    EXPECT_EQ(budget.status().message(), std::string("--kv-budget is '") + text +
                                             "': must be bytes, such as 2G or 512M, or tokens, such as 131072tokens");
  }
}

Trace two_requests() {
  return {"trace.csv", TraceFormat::azure, {{100, 20, 2}, {300, 21, 3}}};
}

TEST(Budget, CountsWholePages) {
  const PageCost cost{64, 1000};
  EXPECT_EQ(pages_of({1000, true}, "", cost, two_requests()).value(), 15);
  EXPECT_EQ(pages_of({640000, false}, "", cost, two_requests()).value(), 10);
  EXPECT_EQ(pages_of({639999, false}, "", cost, two_requests()).value(), 9);
  EXPECT_EQ(pages_of({384, true}, "", cost, two_requests()).value(), 6);  // the longest request, exactly
}

TEST(Budget, NamesTheRequestThatDoesNotFit) {
  Result<int64_t> pages = pages_of({383, true}, "383tokens", {64, 1000}, two_requests());
  ASSERT_FALSE(pages.ok());
  EXPECT_EQ(pages.status().code(), StatusCode::invalid_argument);
  EXPECT_EQ(pages.status().message(),
            "--kv-budget 383tokens is too small for the request at trace.csv:3: its 300 + 21 tokens need 6 pages of 64 "
            "tokens, but the budget holds 5; give at least 384tokens (384000 bytes, at 1000 bytes a token)");
}

TEST(Budget, TheDefaultHoldsTheLongestRequest) {
  const PageCost cost{64, 1000};
  const Trace small = two_requests();
  EXPECT_EQ(default_budget(cost, small.requests).amount, 131072);
  const Trace large{"trace.csv", TraceFormat::azure, {{100, 20, 2}, {200000, 1, 3}}};
  const Budget budget = default_budget(cost, large.requests);
  EXPECT_TRUE(budget.in_tokens);
  EXPECT_EQ(pages_of(budget, "", cost, large).value(), (200001 + 63) / 64);
}

}  // namespace
}  // namespace flash_mla::cli
