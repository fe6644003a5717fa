// A shuffle that others can repeat: CPython's random.Random(seed).shuffle().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace flash_mla::cli {

/// MT19937 (Matsumoto and Nishimura, 1998), seeded as CPython seeds it, so that a few lines of Python give the same
/// order. std::mt19937 has the same generator, but no way to seed it by an array.
class PythonRandom {
 public:
  explicit PythonRandom(uint32_t seed);

  /// 0 to bound - 1, as random.randrange(bound). 0 < bound < 2^31.
  uint32_t below(uint32_t bound);

  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(static_cast<uint32_t>(i))]);
  }

 private:
  uint32_t next();
  void twist();

  std::array<uint32_t, 624> state_{};
  size_t position_ = 0;
};

}  // namespace flash_mla::cli
