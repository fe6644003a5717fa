// Who may begin and grow, and what is promised to whom.
#include <algorithm>

#include "core/error.h"
#include "kv_cache/manager.h"

namespace flash_mla {

using kv_cache::Hit;
using kv_cache::kNone;
using kv_cache::Manager;
using kv_cache::Progress;
using kv_cache::Sequence;

namespace kv_cache {

int64_t Manager::most_pages(int64_t group, int64_t length) const {
  const KvCacheGroup& of = groups[group];
  const int64_t all = pages_of(group, length);
  if (of.window == 0 || options.max_in_flight_tokens == 0) return all;
  // The window, what is being computed, and one page more as they need not begin where a page does.
  return std::min(all, sink_columns(group) + divide_up(of.window - 1 + options.max_in_flight_tokens, of.page_size) + 1);
}

int64_t Manager::pages_to_reserve(int64_t row, int64_t from, int64_t target) const {
  int64_t pages = 0;
  for (int64_t group = 0; group < num_groups(); ++group) {
    const int64_t dead = std::max<int64_t>(0, progress_of(row, group).first_live - sink_columns(group));
    const int64_t to_come = pages_of(group, target) - pages_of(group, from);
    const int64_t held = pages_of(group, from) - dead;
    pages += std::max<int64_t>(0, std::min(to_come, most_pages(group, target) - held));
  }
  return pages;
}

int64_t Manager::pages_to_copy(int64_t row) const {
  int64_t pages = 0;
  for (int64_t group = 0; group < num_groups(); ++group) {
    const int64_t length = sequences[row].length, page_size = groups[group].page_size;
    if (length % page_size == 0) continue;
    pages += pool[tables.get(group, row, length / page_size)].references > 1;
  }
  return pages;
}

int64_t Manager::pages_to_grow(int64_t row, int64_t count) const {
  if (count == 0) return 0;
  int64_t pages = pages_to_copy(row);
  for (int64_t group = 0; group < num_groups(); ++group) {
    pages += pages_of(group, sequences[row].length + count) - pages_of(group, sequences[row].length);
  }
  return pages;
}

bool Manager::can_grow(int64_t row, int64_t count) const {
  const Sequence& sequence = sequences[row];
  int64_t needed = pages_to_grow(row, count);
  // Copies on write come on top of what was promised, so not all of the promise may be used up by this growth.
  if (sequence.reserved > 0) {
    needed += std::min(sequence.reserved, pages_to_reserve(row, sequence.length + count, sequence.target));
  }
  return needed <= available(row);
}

void Manager::set_reserved(int64_t row, int64_t target) {
  Sequence& sequence = sequences[row];
  const int64_t pages = target == 0 ? 0 : pages_to_reserve(row, sequence.length, target);
  counters.reserved_pages += pages - sequence.reserved;
  sequence.reserved = pages;
  sequence.target = target;
}

void Manager::update_reserved(int64_t row, int64_t freed) {
  Sequence& sequence = sequences[row];
  const int64_t pages = std::min(pages_to_reserve(row, sequence.length, sequence.target), sequence.reserved + freed);
  counters.reserved_pages += pages - sequence.reserved;
  sequence.reserved = pages;
}

Status Manager::check_rows() const {
  if (rows.count() > 0) return {};
  return core::error(StatusCode::out_of_pages, "all max_sequences = {} rows of the page table are in use",
                     geometry.max_sequences);
}

Admission Manager::admission(const SequenceSpec& spec, const Hit& hit) const {
  Admission admission;
  const int64_t length = std::max(static_cast<int64_t>(spec.prompt.size()), spec.reserve_tokens);
  for (int64_t group = 0; group < num_groups(); ++group) admission.pages_needed += most_pages(group, length);
  admission.pages_needed = std::max<int64_t>(0, admission.pages_needed - hit.pages);
  admission.num_computed_tokens = hit.tokens;
  admission.evictable_hits = hit.evictable;
  admission.pages_available = available(kNone) - (spec.leave_watermark ? options.watermark_pages : 0);
  admission.fits = rows.count() > 0 && admission.pages_needed + admission.evictable_hits <= admission.pages_available;
  return admission;
}

}  // namespace kv_cache

Result<Admission> KvCache::can_admit(const SequenceSpec& spec) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  FLASH_MLA_RETURN_IF_ERROR(m.check(spec));
  return m.admission(spec, m.find(spec));
}

Result<StartedSequence> KvCache::add_sequence(const SequenceSpec& spec) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  FLASH_MLA_RETURN_IF_ERROR(m.check(spec));
  FLASH_MLA_RETURN_IF_ERROR(m.check_rows());
  const Hit hit = m.find(spec);
  const Admission admission = m.admission(spec, hit);
  const bool must_fit = spec.reserve_tokens > 0 || spec.leave_watermark;
  // Cached pages that come into use must not be those that were promised to others.
  if (must_fit ? !admission.fits : hit.evictable > m.available(kNone)) {
    const int64_t needed = hit.evictable + (must_fit ? admission.pages_needed : 0);
    Status refused = m.out_of_pages(kNone, needed, "a new sequence");
    m.shortage.reserved += m.available(kNone) - admission.pages_available;
    return refused;
  }

  const int64_t row = m.begin_row();
  Sequence& sequence = m.sequences[row];
  sequence.root = m.index.root(spec.salt, spec.adapter);
  sequence.priority = static_cast<uint8_t>(spec.priority);
  sequence.length = sequence.computed = sequence.known = static_cast<int32_t>(hit.tokens);
  m.tables.open(row);
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    const int64_t columns = hit.tokens / m.groups[group].page_size;
    for (int64_t column = 0; column < columns; ++column) {
      const int32_t page = m.hits[group][column];
      if (page == kNone) continue;
      m.pool.add_reference(page);
      m.pool[page].priority = std::max(m.pool[page].priority, sequence.priority);
      m.tables.set(group, row, column, page);
    }
    Progress& at = m.progress_of(row, group);
    at.published = static_cast<int32_t>(columns);
    at.chain = columns == 0 ? sequence.root : m.hit_chain[group][columns - 1];
    const int64_t window = m.groups[group].window;
    const int64_t dead_tokens = window == 0 ? 0 : std::max<int64_t>(0, hit.tokens - window + 1);
    at.first_live = static_cast<int32_t>(dead_tokens / m.groups[group].page_size);
  }
  m.show_length(row, hit.tokens);
  m.tables.close(row);
  if (spec.reserve_tokens > 0) m.set_reserved(row, spec.reserve_tokens);
  m.counters.query_tokens += static_cast<int64_t>(spec.prompt.size());
  m.counters.hit_tokens += hit.tokens;
  return StartedSequence{m.id_of_row(row), hit.tokens};
}

Status KvCache::reserve(int64_t sequence, int64_t num_tokens) {
  Manager& m = *manager_;
  int64_t row = -1;
  FLASH_MLA_RETURN_IF_ERROR(m.writable(sequence, row));
  if (num_tokens < 0 || num_tokens > m.geometry.max_tokens) {
    return core::invalid("num_tokens is {}: must be 0 to max_tokens = {}", num_tokens, m.geometry.max_tokens);
  }
  const int64_t needed = m.pages_to_reserve(row, m.sequences[row].length, num_tokens);
  if (needed > m.available(row)) return m.out_of_pages(row, needed, core::format("sequence {}", sequence).c_str());
  m.set_reserved(row, num_tokens);
  return {};
}

bool KvCache::can_allocate(int64_t sequence, int64_t num_tokens) const {
  const Manager& m = *manager_;
  const int64_t row = m.row_of(sequence);
  if (row < 0 || num_tokens < 0 || num_tokens > m.geometry.max_tokens - m.sequences[row].length) return false;
  return is_resident(sequence) && m.can_grow(row, num_tokens);
}

int64_t KvCache::pages_needed(int64_t sequence, int64_t tokens) const {
  const Manager& m = *manager_;
  const int64_t row = m.row_of(sequence);
  if (row < 0) return -1;
  int64_t needed = 0;
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    const int64_t page_size = m.groups[group].page_size, length = m.sequences[row].length;
    const int64_t room = m.pages_of(group, length) * page_size - length;
    needed += tokens <= room ? 0 : kv_cache::divide_up(tokens - room, page_size);
  }
  return needed;
}

const OutOfPages& KvCache::shortage() const {
  return manager_->shortage;
}

}  // namespace flash_mla
