// Numbers 0 to n - 1, those that are free linked through the array of all of them; last in, first out.
#pragma once

#include <cstdint>
#include <vector>

namespace flash_mla::kv_cache {

class FreeList {
 public:
  explicit FreeList(int64_t size) : link_(static_cast<size_t>(size)), head_(size > 0 ? 0 : kEnd), count_(size) {
    for (int64_t i = 0; i < size; ++i) link_[i] = i + 1 < size ? static_cast<int32_t>(i + 1) : kEnd;
  }

  int32_t take() {
    const int32_t taken = head_;
    head_ = link_[taken];
    link_[taken] = kInUse;
    --count_;
    return taken;
  }

  /// Takes a certain number, which must be free. O(n): for restoring only.
  void take(int32_t number) {
    int32_t* link = &head_;
    while (*link != number) link = &link_[*link];
    *link = link_[number];
    link_[number] = kInUse;
    --count_;
  }

  void give_back(int32_t number) {
    link_[number] = head_;
    head_ = number;
    ++count_;
  }

  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(link_.size()); }
  [[nodiscard]] bool in_use(int64_t number) const { return number >= 0 && number < size() && link_[number] == kInUse; }
  [[nodiscard]] int64_t count() const { return count_; }
  /// Whether the list holds as many as it says, none of them twice.
  [[nodiscard]] bool agrees() const {
    int64_t length = 0, used = 0;
    for (int32_t number = head_; number != kEnd; number = link_[number]) {
      if (number < 0 || number >= size() || link_[number] == kInUse || ++length > size()) return false;
    }
    for (const int32_t link : link_) used += link == kInUse;
    return length == count_ && length + used == size();
  }

 private:
  static constexpr int32_t kEnd = -1;
  static constexpr int32_t kInUse = -2;  ///< in place of a link

  std::vector<int32_t> link_;
  int32_t head_;
  int64_t count_;
};

}  // namespace flash_mla::kv_cache
