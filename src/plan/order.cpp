#include "plan/order.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace flash_mla::plan {

namespace {

constexpr int kDigitBits = 11;
constexpr size_t kBuckets = size_t{1} << kDigitBits;
constexpr int kIndexBits = 32;
constexpr int kKeyBits = 31;  // a float >= 0: no sign

/// One stable pass of a radix sort over the digit at `shift`.
void scatter(const uint64_t* from, uint64_t* to, size_t count, int shift) {
  std::array<uint32_t, kBuckets> begin{};
  const auto digit = [shift](uint64_t key) { return (key >> shift) & (kBuckets - 1); };
  for (size_t i = 0; i < count; ++i) ++begin[digit(from[i])];
  uint32_t sum = 0;
  for (uint32_t& bucket : begin) bucket = std::exchange(sum, sum + bucket);
  for (size_t i = 0; i < count; ++i) to[begin[digit(from[i])]++] = from[i];
}

}  // namespace

void order_by_cost(PlannerMemory& memory) {
  const size_t count = memory.cost.size();
  memory.sort_keys.resize(2 * count);
  uint64_t* keys = memory.sort_keys.data();
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(memory.cost[i]));
    keys[i] = uint64_t{~bits & 0x7fffffff} << kIndexBits | i;
  }
  constexpr size_t kFew = 256;
  if (count < kFew) {
    std::sort(keys, keys + count);
  } else {
    constexpr int kTop = kIndexBits + kKeyBits - kDigitBits;
    scatter(keys, keys + count, count, kTop - kDigitBits);
    scatter(keys + count, keys, count, kTop);
  }
  memory.order.resize(count);
  for (size_t i = 0; i < count; ++i) memory.order[i] = static_cast<int32_t>(keys[i] & 0xffffffff);
}

}  // namespace flash_mla::plan
