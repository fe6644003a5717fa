// KvCache as a whole: a stream of operations on the naive world of tests/kv_cache, in a setting that the input chooses.
#include <string>

#include "bytes.h"
#include "kv_cache/world.h"
#include "require.h"

namespace flash_mla::fuzz {
namespace {

class BytesChoices : public test::Choices {
 public:
  explicit BytesChoices(Bytes& bytes) : bytes_(bytes) {}
  int64_t below(int64_t bound) override { return bytes_.number(0, bound - 1); }

 private:
  Bytes& bytes_;
};

test::WorldConfig draw(Bytes& bytes) {
  test::WorldConfig config;
  config.geometry = {bytes.number(0, 40), bytes.number(1, 6), bytes.number(1, 6), bytes.number(2, 40)};
  config.alphabet = bytes.number(1, 3);
  KvCacheOptions& options = config.options;
  options.prefix_caching = !bytes.rarely(6);
  options.hash_bits = bytes.pick({128, 2, 70});
  options.hash_key = KvCacheHash{1, 2};
  options.watermark_pages = bytes.number(0, 3);
  options.max_events = bytes.number(0, 3);
  options.max_in_flight_tokens = bytes.pick({int64_t{0}, int64_t{9}});
  for (int64_t i = bytes.number(0, 3); i > 0; --i) {
    const int64_t window = bytes.pick({int64_t{0}, bytes.number(1, 20)});
    options.groups.push_back({bytes.number(0, 6), window, window == 0 ? 0 : bytes.number(0, 5)});
  }
  // In a window what lies before it has no pages to compare, so there the whole hash is needed.
  for (const KvCacheGroup& group : options.groups) {
    if (group.window > 0) options.hash_bits = 128;
  }
  for (int64_t i = bytes.number(0, 2); i > 0; --i) options.tier_pages.push_back(bytes.number(0, 12));
  options.max_transfers = options.tier_pages.empty() ? 0 : bytes.number(0, 20);
  return config;
}

void run(Bytes& bytes) {
  const test::WorldConfig config = draw(bytes);
  BytesChoices choices(bytes);
  test::World world(config, choices);
  int64_t steps = 0;
  while (!bytes.empty()) {
    std::string wrong = world.step();
    if (wrong.empty() && ++steps % 16 == 0) wrong = world.check_all();
    require(wrong.empty(), "the world", wrong);
  }
  const std::string wrong = world.check_all();
  require(wrong.empty(), "the world at the end", wrong);
}

}  // namespace
}  // namespace flash_mla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  flash_mla::fuzz::Bytes bytes(data, size);
  flash_mla::fuzz::run(bytes);
  return 0;
}
