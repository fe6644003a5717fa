// verify() notices every kind of damage, and a damaged cache serves no more. The parts it rests on: hash and checksum.
#include <functional>

#include "flash_mla/kv_cache_data.h"
#include "helpers.h"
#include "kv_cache/crc32c.h"
#include "kv_cache/manager.h"
#include "kv_cache/siphash.h"

namespace flash_mla::test {
namespace {

using kv_cache::Access;
using kv_cache::Manager;

TEST(SipHash, MatchesAnotherImplementation) {
  // From OpenSSL 3.0: openssl mac -macopt hexkey:000102...0f -macopt size:16 SipHash, of bytes 00, 01, 02 ...
  const KvCacheHash key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  const KvCacheHash expected[] = {{0xe6a825ba047f81a3, 0x930255c71472f66d},
                                  {0x61f55862baa9623b, 0xb49714f364e2830f},
                                  {0xbb54b067caa4e26e, 0x77052385bf1533fd},
                                  {0xd850bd78ae79b42d, 0xad32618a178a2a88}};
  for (uint64_t words = 0; words < 4; ++words) {
    kv_cache::SipHash128 hash(key);
    for (uint64_t word = 0; word < words; ++word) hash.add(0x0706050403020100 + 0x0808080808080808 * word);
    EXPECT_TRUE(hash.finish() == expected[words]) << words << " words";
  }
}

TEST(Crc32c, MatchesThePublishedValues) {
  const auto of = [](std::string_view text) { return kv_cache::Crc32c::of(std::as_bytes(std::span(text))); };
  EXPECT_EQ(of("123456789"), 0xe3069283u);
  EXPECT_EQ(of(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(of(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(of(""), 0u);
}

struct Damage {
  const char* name;
  std::function<void(Manager&)> inflict;
};

/// A cache with shared, cached, pinned, reserved and swapped pages.
KvCache busy() {
  KvCacheOptions options = caching();
  options.groups = {{4, 0, 0}, {4, 6, 2}};
  options.tier_pages = {8};
  KvCache cache = make_cache(60, 4, 6, 40, options);
  cache_prompt(cache, spec_of(tokens(14, 300)));
  EXPECT_GT(cache.pin_prefix(spec_of(tokens(14, 300))).value(), 0);
  cache_prompt(cache, spec_of(tokens(14, 600)));
  const int64_t id = run_prompt(cache, spec_of(tokens(18)));
  EXPECT_TRUE(cache.fork(id).ok());
  EXPECT_TRUE(cache.reserve(id, 30).ok());
  const int64_t away = run_prompt(cache, spec_of(tokens(9, 900)));
  std::vector<PageTransfer> transfers(16);
  EXPECT_TRUE(cache.swap_out(away, 0, transfers).ok());
  EXPECT_TRUE(cache.verify().ok());
  return cache;
}

TEST(Verify, NoticesEveryKindOfDamage) {
  const int32_t row = 0;
  const std::vector<Damage> damages = {
      {"a reference too many", [](Manager& m) { ++m.pool[m.tables.get(0, row, 0)].references; }},
      {"a reference too few", [](Manager& m) { --m.pool[m.tables.get(0, row, 0)].references; }},
      {"a pin too many", [](Manager& m) { ++m.pool[m.tables.get(0, row, 0)].pins; }},
      {"another page in the table", [](Manager& m) { m.tables.set(0, row, 1, m.tables.get(0, row, 0)); }},
      {"a page of another group", [](Manager& m) { m.tables.set(0, row, 1, m.tables.get(1, row, 4)); }},
      {"a page out of range", [](Manager& m) { m.tables.set(0, row, 1, 60); }},
      {"a missing page", [](Manager& m) { m.tables.set(0, row, 1, kv_cache::kNone); }},
      {"a page past the length", [](Manager& m) { m.tables.set(0, row, 9, 3); }},
      {"a page behind the window", [](Manager& m) { m.tables.set(1, row, 1, 3); }},
      {"a page in an unused row", [](Manager& m) { m.tables.set(0, 5, 0, 3); }},
      {"a wrong length", [](Manager& m) { m.tables.set_length(row, 17); }},
      {"a length in an unused row", [](Manager& m) { m.tables.set_length(5, 1); }},
      {"more computed than there is", [](Manager& m) { m.sequences[row].computed = 19; }},
      {"more known than there is", [](Manager& m) { m.sequences[row].known = 19; }},
      {"a wrong sum of tokens", [](Manager& m) { m.counters.tokens += 1; }},
      {"a wrong sum of waste", [](Manager& m) { m.counters.wasted_tokens += 1; }},
      {"a wrong count of sequences", [](Manager& m) { m.counters.sequences += 1; }},
      {"a wrong reservation", [](Manager& m) { m.sequences[row].reserved += 1; }},
      {"a flipped token", [](Manager& m) { m.index.tokens_of(m.tables.get(0, row, 1))[2] ^= 4; }},
      {"a flipped extra", [](Manager& m) { m.index.extra_of(m.tables.get(0, row, 1)) ^= 1; }},
      {"a lost chain", [](Manager& m) { m.progress_of(row, 0).chain.hash.high ^= 1; }},
      {"a wrong count of published pages", [](Manager& m) { m.progress_of(row, 0).published = 5; }},
      {"a page unpublished by half", [](Manager& m) { m.pool[m.tables.get(0, row, 0)].published = false; }},
      {"a page published by half", [](Manager& m) { m.pool[m.tables.get(0, row, 4)].published = true; }},
      {"a cached page that is in use", [](Manager& m) { ++m.pool[m.pool.oldest_cached()].references; }},
      {"a broken list of cached pages", [](Manager& m) { m.pool[m.pool.oldest_cached()].next = 59; }},
      {"a broken back link", [](Manager& m) { m.pool[m.pool.oldest_cached()].previous = 59; }},
      {"a changed priority", [](Manager& m) { m.pool[m.pool.oldest_cached()].priority = 2; }},
      {"a page in the wrong place", [](Manager& m) { m.pool[59].place = kv_cache::Place::used; }},
      {"a handed-out page in a transfer", [](Manager& m) { ++m.pool[m.transfers.list[0].page].epoch; }},
      {"a transfer of nobody", [](Manager& m) { m.sequences[m.transfers.list[0].row].transfers -= 1; }},
      {"a leaked tier page", [](Manager& m) { m.transfers.tiers[0].take(); }},
      {"a lost row", [](Manager& m) { m.rows.take(); }},
  };
  for (const Damage& damage : damages) {
    KvCache cache = busy();
    damage.inflict(Access::of(cache));
    const Status found = cache.verify();
    EXPECT_EQ(found.code(), StatusCode::corrupt) << damage.name;
    EXPECT_NE(found.message(), "") << damage.name;
  }
}

TEST(Verify, APoisonedCacheServesNoMore) {
  KvCache cache = busy();
  const int64_t id = cache.add_sequence().value();
  Access::of(cache).counters.tokens += 1;
  const Status found = cache.verify();
  EXPECT_EQ(found.message(), "this cache serves no more: the sums over all sequences do not add up");
  std::vector<int64_t> slot(1);
  std::vector<PageTransfer> transfers(4);
  for (const Status& status : {cache.verify(),
                               cache.add_sequence().status(),
                               cache.add_sequence(SequenceSpec()).status(),
                               cache.remove_sequence(id),
                               cache.append_tokens(id, slot),
                               cache.grow(id, 1, {}).status(),
                               cache.mark_computed(id, 0),
                               cache.rewind(id, 0),
                               cache.fork(id).status(),
                               cache.freeze(id),
                               cache.reserve(id, 1),
                               cache.can_admit(SequenceSpec()).status(),
                               cache.find_prefix(SequenceSpec()).status(),
                               cache.pin_prefix(SequenceSpec()).status(),
                               cache.unpin_prefix(SequenceSpec(), 4),
                               cache.reset_prefix_cache(),
                               cache.evict_page(0),
                               cache.swap_out(id, 0, transfers).status(),
                               cache.swap_in(id, transfers).status(),
                               cache.complete_transfer(transfers[0]),
                               cache.snapshot(testing::TempDir() + "poisoned", {})}) {
    EXPECT_EQ(status.code(), StatusCode::corrupt);
    EXPECT_EQ(status.message(), found.message());
  }
}

}  // namespace
}  // namespace flash_mla::test
