// The pages of a pool: who holds each, and which are free. Links lie in the pages themselves, so nothing is allocated
// after the pool was made, and every operation is O(1) whatever the pool's size.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "flash_mla/kv_cache_types.h"
#include "kv_cache/counter.h"

namespace flash_mla::kv_cache {

inline constexpr int32_t kNone = -1;  ///< no page: the end of a list, a dead entry of a page table

enum class Place : uint8_t { free, cached, used };

struct Page {
  int32_t references = 0;
  int32_t previous = kNone;  ///< in the list that `place` names
  int32_t next = kNone;
  uint32_t epoch = 0;  ///< changes whenever the page is handed out
  int32_t pins = 0;    ///< of the references
  Place place = Place::free;
  uint8_t group = 0;
  uint8_t priority = 0;
  bool published = false;  ///< in the prefix index
};

struct PageList {
  int32_t head = kNone;
  int32_t tail = kNone;
};

/// A page is free (holds nothing; last in, first out), cached (nobody's, but published; a list a priority, the oldest
/// first) or used (references > 0).
class PagePool {
 public:
  explicit PagePool(int64_t num_pages);

  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(pages_.size()); }
  [[nodiscard]] int64_t num_free() const { return free_; }
  [[nodiscard]] int64_t num_cached() const { return cached_; }
  [[nodiscard]] int64_t num_used() const { return used_; }
  [[nodiscard]] int64_t num_references() const { return references_; }
  [[nodiscard]] Page& operator[](int64_t page) { return pages_[page]; }
  [[nodiscard]] const Page& operator[](int64_t page) const { return pages_[page]; }
  [[nodiscard]] bool contains(int64_t page) const { return page >= 0 && page < size(); }

  /// The cached page to evict next, of the lowest priority and unused for longest; kNone if there is none.
  [[nodiscard]] int32_t oldest_cached() const;
  /// Hands out a free page (there must be one) with one reference.
  int32_t take(int group);
  /// One reference more, to a used or a cached page.
  void add_reference(int32_t page);
  /// One less; the last makes the page cached if it is published, else free. False: it had none, nothing changed.
  [[nodiscard]] bool release(int32_t page);
  /// A cached page that is no longer published becomes free.
  void free_cached(int32_t page);

  /// Calls use(page) for the cached pages, the next to be evicted first.
  template <class Use>
  void for_each_cached(Use&& use) const {
    for (const PageList& list : cached_lists_) {
      for (int32_t page = list.head; page != kNone; page = pages_[page].next) use(page);
    }
  }

  /// Whether the lists, places and counts agree.
  [[nodiscard]] bool lists_agree() const;

 private:
  void push_front(PageList& list, int32_t page);
  void push_back(PageList& list, int32_t page);
  void unlink(PageList& list, int32_t page);
  [[nodiscard]] int64_t walk(const PageList& list, Place place, int priority) const;

  std::vector<Page> pages_;
  PageList free_list_;
  std::array<PageList, kNumKvCachePriorities> cached_lists_{};
  Counter free_, cached_, used_, references_;
};

}  // namespace flash_mla::kv_cache
