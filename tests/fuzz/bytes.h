// A fuzzer's input as a stream of choices. Where it has run out, every choice is the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace flash_mla::fuzz {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  /// A number in [low, high], of at most two bytes' variety.
  int64_t number(int64_t low, int64_t high) {
    const auto span = static_cast<uint64_t>(high - low) + 1;
    uint64_t value = byte();
    if (span > 256) value = value << 8 | byte();
    return low + static_cast<int64_t>(value % span);
  }
  bool flag() { return number(0, 1) != 0; }
  /// True once in `odds` times.
  bool rarely(int odds) { return number(0, odds - 1) == odds - 1; }
  template <class T>
  T pick(std::initializer_list<T> list) {
    return list.begin()[number(0, static_cast<int64_t>(list.size()) - 1)];
  }
  template <class T>
  T& pick(std::span<T> list) {
    return list[static_cast<size_t>(number(0, static_cast<int64_t>(list.size()) - 1))];
  }
  [[nodiscard]] bool empty() const { return left_ == 0; }

 private:
  uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }

  const uint8_t* data_;
  size_t left_;
};

}  // namespace flash_mla::fuzz
