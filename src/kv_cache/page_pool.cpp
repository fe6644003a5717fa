#include "kv_cache/page_pool.h"

namespace flash_mla::kv_cache {

PagePool::PagePool(int64_t num_pages) : pages_(static_cast<size_t>(num_pages)) {
  for (int64_t page = num_pages - 1; page >= 0; --page) push_front(free_list_, static_cast<int32_t>(page));
  free_ = num_pages;
}

int32_t PagePool::oldest_cached() const {
  for (const PageList& list : cached_lists_) {
    if (list.head != kNone) return list.head;
  }
  return kNone;
}

int32_t PagePool::take(int group) {
  const int32_t taken = free_list_.head;
  unlink(free_list_, taken);
  Page& page = pages_[taken];
  page.references = 1;
  page.place = Place::used;
  page.group = static_cast<uint8_t>(group);
  page.priority = 0;
  ++page.epoch;
  free_ -= 1;
  used_ += 1;
  references_ += 1;
  return taken;
}

void PagePool::add_reference(int32_t page) {
  Page& of = pages_[page];
  if (of.place == Place::cached) {
    unlink(cached_lists_[of.priority], page);
    of.place = Place::used;
    cached_ -= 1;
    used_ += 1;
  }
  ++of.references;
  references_ += 1;
}

bool PagePool::release(int32_t page) {
  if (!contains(page)) return false;
  Page& of = pages_[page];
  if (of.place != Place::used || of.references <= of.pins) return false;
  references_ -= 1;
  if (--of.references > 0) return true;
  used_ -= 1;
  if (of.published) {
    of.place = Place::cached;
    push_back(cached_lists_[of.priority], page);
    cached_ += 1;
  } else {
    of.place = Place::free;
    push_front(free_list_, page);
    free_ += 1;
  }
  return true;
}

void PagePool::free_cached(int32_t page) {
  Page& of = pages_[page];
  unlink(cached_lists_[of.priority], page);
  of.place = Place::free;
  push_front(free_list_, page);
  cached_ -= 1;
  free_ += 1;
}

void PagePool::push_front(PageList& list, int32_t page) {
  Page& of = pages_[page];
  of.previous = kNone;
  of.next = list.head;
  (list.head == kNone ? list.tail : pages_[list.head].previous) = page;
  list.head = page;
}

void PagePool::push_back(PageList& list, int32_t page) {
  Page& of = pages_[page];
  of.next = kNone;
  of.previous = list.tail;
  (list.tail == kNone ? list.head : pages_[list.tail].next) = page;
  list.tail = page;
}

void PagePool::unlink(PageList& list, int32_t page) {
  const Page& of = pages_[page];
  (of.previous == kNone ? list.head : pages_[of.previous].next) = of.next;
  (of.next == kNone ? list.tail : pages_[of.next].previous) = of.previous;
}

/// The length of a list whose pages are all in place; -1 if something is wrong with it.
int64_t PagePool::walk(const PageList& list, Place place, int priority) const {
  int64_t length = 0;
  int32_t previous = kNone;
  for (int32_t page = list.head; page != kNone; page = pages_[page].next) {
    if (!contains(page) || ++length > size()) return -1;
    const Page& of = pages_[page];
    const bool belongs = of.place == place && of.references == 0 && of.published == (place == Place::cached) &&
                         (place == Place::free || of.priority == priority);
    if (!belongs || of.previous != previous) return -1;
    previous = page;
  }
  return list.tail == previous ? length : -1;
}

bool PagePool::lists_agree() const {
  if (walk(free_list_, Place::free, 0) != free_) return false;
  int64_t cached = 0;
  for (int priority = 0; priority < kNumKvCachePriorities; ++priority) {
    const int64_t length = walk(cached_lists_[priority], Place::cached, priority);
    if (length < 0) return false;
    cached += length;
  }
  int64_t used = 0, references = 0;
  for (const Page& page : pages_) {
    if (page.place != Place::used) continue;
    if (page.references <= 0 || page.pins < 0 || page.pins > page.references) return false;
    ++used;
    references += page.references;
  }
  return cached == cached_ && used == used_ && references == references_ && free_ + cached_ + used_ == size();
}

}  // namespace flash_mla::kv_cache
