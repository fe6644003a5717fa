// Operations that succeed must not allocate.
#include <gtest/gtest.h>

#include <array>

#include "allocation_counter.h"
#include "flash_mla/kv_cache.h"

namespace flash_mla {
namespace {

TEST(KvCacheAllocation, NoOperationAllocates) {
  KvCacheOptions options;
  options.groups = {{16, 0, 0}, {16, 40, 4}};
  options.prefix_caching = true;
  options.max_events = 50;
  options.tier_pages = {200};
  KvCache cache = KvCache::make({1000, 16, 16, 1000}, options).value();
  std::array<int32_t, 201> prompt{};
  std::array<int64_t, 201> slots{};
  std::array<PageTransfer, 64> transfers{};
  std::array<KvCacheEvent, 50> events{};
  int64_t failures = 0;
  const auto must = [&](bool ok) { failures += !ok; };
  const int64_t before = num_allocations();
  for (int round = 0; round < 200; ++round) {
    for (int32_t& token : prompt) token = round / 2;
    SequenceSpec spec;
    spec.prompt = prompt;
    spec.reserve_tokens = 300;
    must(cache.can_admit(spec).ok());
    const Result<StartedSequence> started = cache.add_sequence(spec);
    must(started.ok());
    if (!started.ok()) continue;
    const auto [id, hit] = started.value();
    const auto rest = std::span<const int32_t>(prompt).subspan(static_cast<size_t>(hit));
    must(cache.grow(id, rest, std::span(slots).first(rest.size())).ok());
    must(cache.mark_computed(id, 201).ok());
    const Result<int64_t> child = cache.fork(id);
    must(child.ok() && cache.grow(child.value(), rest.first(1), {}).ok());
    must(cache.rewind(child.value(), 202).ok());
    const Result<int64_t> out = cache.swap_out(child.value(), 0, transfers);
    must(out.ok());
    for (int64_t i = 0; i < out.value(); ++i) must(cache.complete_transfer(transfers[i]).ok());
    const Result<int64_t> in = cache.swap_in(child.value(), transfers);
    must(in.ok());
    for (int64_t i = 0; i < in.value(); ++i) must(cache.complete_transfer(transfers[i]).ok());
    must(cache.pin_prefix(spec).ok() && cache.unpin_prefix(spec, 192).ok());
    must(cache.remove_sequence(id).ok() && cache.remove_sequence(child.value()).ok());
    cache.take_events(events);
    const Result<int64_t> plain = cache.add_sequence();
    must(plain.ok() && cache.append_tokens(plain.value(), slots).ok() && cache.remove_sequence(plain.value()).ok());
  }
  EXPECT_EQ(num_allocations() - before, 0);
  EXPECT_EQ(failures, 0);
  EXPECT_GT(cache.statistics().evictions, 0);
  EXPECT_GT(cache.statistics().hit_tokens, 0);
  ::operator delete(::operator new(8));
  EXPECT_EQ(num_allocations() - before, 1) << "the counter does not count";
}

}  // namespace
}  // namespace flash_mla
