// Growing, shortening and forking of sequences.
#include <algorithm>

#include "core/error.h"
#include "kv_cache/manager.h"

namespace flash_mla {

using kv_cache::kNone;
using kv_cache::Manager;
using kv_cache::Progress;
using kv_cache::Sequence;

namespace kv_cache {
namespace {

/// Tokens to add to a sequence.
struct Growth {
  int64_t count = 0;
  const int32_t* tokens = nullptr;  ///< null: unknown
  std::span<int64_t> slots;
  std::span<const TokenExtra> extras;
};

Status check(Manager& m, int64_t id, int64_t row, const Growth& growth, bool may_copy) {
  const int64_t length = m.sequences[row].length;
  if (growth.count > m.geometry.max_tokens - length) {
    return core::invalid("sequence {} has {} tokens and cannot grow by {}: max_tokens is {}", id, length, growth.count,
                         m.geometry.max_tokens);
  }
  if (!may_copy && growth.count > 0 && m.pages_to_copy(row) > 0) {
    return core::invalid("sequence {} shares its last page: call grow(), which says what to copy first", id);
  }
  if (m.can_grow(row, growth.count)) return {};
  return m.out_of_pages(row, m.pages_to_grow(row, growth.count), core::format("sequence {}", id).c_str());
}

void write_tokens(Manager& m, int64_t row, int64_t group, const Growth& growth) {
  const int64_t length = m.sequences[row].length, page_size = m.groups[group].page_size;
  for (int64_t done = 0; done < growth.count;) {
    const int64_t offset = (length + done) % page_size, first = length + done;
    const int64_t count = std::min(page_size - offset, growth.count - done);
    const int32_t page = m.tables.get(group, row, first / page_size);
    std::copy_n(growth.tokens + done, count, m.index.tokens_of(page) + offset);
    uint64_t& extra = m.index.extra_of(page);
    extra = m.fold_extras(growth.extras, first, count, extra);
    done += count;
  }
}

void write_slots(const Manager& m, int64_t row, std::span<int64_t> slots) {
  const int64_t page_size = m.groups[0].page_size;
  const int32_t* pages = m.tables.row(0, row);
  int64_t column = m.sequences[row].length / page_size, offset = m.sequences[row].length % page_size;
  for (int64_t& slot : slots) {
    slot = pages[column] * page_size + offset;
    if (++offset < page_size) continue;
    offset = 0;
    ++column;
  }
}

Status grow(Manager& m, int64_t id, const Growth& growth, PageCopies* copies) {
  int64_t row = -1;
  FLASH_MLA_RETURN_IF_ERROR(m.writable(id, row));
  FLASH_MLA_RETURN_IF_ERROR(check(m, id, row, growth, copies != nullptr));
  if (growth.count == 0) return {};
  Sequence& sequence = m.sequences[row];
  const int64_t length = sequence.length;
  const bool is_known = growth.tokens != nullptr && sequence.known == length && m.options.prefix_caching;
  m.tables.open(row);
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    if (length % m.groups[group].page_size != 0) {
      PageCopies none;
      m.copy_on_write(row, group, length, copies == nullptr ? none : *copies);
    }
    const int64_t columns = m.pages_of(group, length + growth.count);
    for (int64_t column = m.pages_of(group, length); column < columns; ++column) {
      m.tables.set(group, row, column, m.take_page(group));
    }
    if (is_known) write_tokens(m, row, group, growth);
  }
  m.show_length(row, length + growth.count);
  m.tables.close(row);
  write_slots(m, row, growth.slots);
  sequence.length = static_cast<int32_t>(length + growth.count);
  if (is_known) sequence.known = sequence.length;
  if (sequence.target > 0) m.update_reserved(row, 0);
  return {};
}

Status check_slots(std::span<const int64_t> slots, int64_t count) {
  if (slots.empty() || static_cast<int64_t>(slots.size()) == count) return {};
  return core::invalid("slots has {} places for {} tokens: expected as many, or none", slots.size(), count);
}

/// Tokens [first, last) of a group that have left the window.
bool any_dead(const Manager& m, int64_t row, int64_t group, int64_t first, int64_t last) {
  const int64_t page_size = m.groups[group].page_size;
  const int64_t dead_first = m.sink_columns(group) * page_size;
  const int64_t dead_last = m.progress_of(row, group).first_live * page_size;
  return std::max(first, dead_first) < std::min(last, dead_last);
}

}  // namespace

void Manager::copy_on_write(int64_t row, int64_t group, int64_t length, PageCopies& copies) {
  const int64_t page_size = groups[group].page_size, column = length / page_size;
  const int32_t shared = tables.get(group, row, column);
  if (pool[shared].references == 1) {
    unpublish(shared);  // a sequence that shared it was shortened: what follows is no longer what was published
    return;
  }
  const int32_t own = take_page(group);
  const auto tokens = static_cast<int32_t>(length % page_size);
  if (options.prefix_caching) {
    std::copy_n(index.tokens_of(shared), tokens, index.tokens_of(own));
    index.extra_of(own) = index.extra_of(shared);
  }
  tables.set(group, row, column, own);
  release_page(shared);
  counters.copies += 1;
  copies.items[copies.count++] = {static_cast<int32_t>(group), shared, own, tokens};
}

void Manager::trim_windows(int64_t row) {
  int64_t freed = 0;
  for (int64_t group = 0; group < num_groups(); ++group) {
    const KvCacheGroup& of = groups[group];
    const int64_t dead_tokens = of.window == 0 ? 0 : sequences[row].computed - of.window + 1;
    Progress& at = progress_of(row, group);
    if (dead_tokens < (int64_t{at.first_live} + 1) * of.page_size) continue;
    const auto first_live = static_cast<int32_t>(dead_tokens / of.page_size);
    tables.open(row);
    for (int64_t column = first_live - 1; column >= std::max<int64_t>(at.first_live, sink_columns(group)); --column) {
      freed += release_page(tables.get(group, row, column));
      tables.set(group, row, column, kNone);
    }
    tables.close(row);
    at.first_live = first_live;
  }
  if (sequences[row].target > 0) update_reserved(row, freed);
}

}  // namespace kv_cache

Status KvCache::append_tokens(int64_t sequence, std::span<int64_t> slots) {
  return kv_cache::grow(*manager_, sequence, {static_cast<int64_t>(slots.size()), nullptr, slots, {}}, nullptr);
}

Result<PageCopies> KvCache::grow(int64_t sequence, std::span<const int32_t> tokens, std::span<int64_t> slots,
                                 std::span<const TokenExtra> extras) {
  PageCopies copies;
  const auto count = static_cast<int64_t>(tokens.size());
  FLASH_MLA_RETURN_IF_ERROR(kv_cache::check_slots(slots, count));
  FLASH_MLA_RETURN_IF_ERROR(Manager::check(extras));
  const kv_cache::Growth growth{count, tokens.data(), slots, extras};
  FLASH_MLA_RETURN_IF_ERROR(kv_cache::grow(*manager_, sequence, growth, &copies));
  return copies;
}

Result<PageCopies> KvCache::grow(int64_t sequence, int64_t num_tokens, std::span<int64_t> slots) {
  PageCopies copies;
  if (num_tokens < 0) return core::invalid("num_tokens is {}: must be 0 or more", num_tokens);
  FLASH_MLA_RETURN_IF_ERROR(kv_cache::check_slots(slots, num_tokens));
  FLASH_MLA_RETURN_IF_ERROR(kv_cache::grow(*manager_, sequence, {num_tokens, nullptr, slots, {}}, &copies));
  return copies;
}

Status KvCache::mark_computed(int64_t sequence, int64_t num_tokens) {
  Manager& m = *manager_;
  int64_t row = -1;
  FLASH_MLA_RETURN_IF_ERROR(m.writable(sequence, row));
  Sequence& of = m.sequences[row];
  if (num_tokens < of.computed || num_tokens > of.length) {
    return core::invalid("num_tokens is {}: sequence {} has {} computed tokens of {}", num_tokens, sequence,
                         of.computed, of.length);
  }
  of.computed = static_cast<int32_t>(num_tokens);
  if (m.options.prefix_caching) m.publish(row);
  m.trim_windows(row);
  return {};
}

Status KvCache::rewind(int64_t sequence, int64_t num_tokens) {
  Manager& m = *manager_;
  int64_t row = -1;
  FLASH_MLA_RETURN_IF_ERROR(m.writable(sequence, row));
  Sequence& of = m.sequences[row];
  if (num_tokens < 0 || num_tokens > of.length) {
    return core::invalid("num_tokens is {}: sequence {} has {} tokens", num_tokens, sequence, of.length);
  }
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    const int64_t window = m.groups[group].window;
    // A page that stays partly filled is written next, though a window of one token sees nothing of what it holds.
    const int64_t kept_in_page = num_tokens % m.groups[group].page_size != 0 ? 1 : 0;
    const int64_t first = std::max<int64_t>(0, num_tokens - std::max(window - 1, kept_in_page));
    if (window == 0 || !kv_cache::any_dead(m, row, group, first, num_tokens)) continue;
    return core::invalid(
        "num_tokens is {}: the window of group {} needs tokens from {} on, whose pages have been freed", num_tokens,
        group, first);
  }

  m.tables.open(row);
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    const int64_t page_size = m.groups[group].page_size;
    for (int64_t column = m.pages_of(group, of.length) - 1; column >= num_tokens / page_size; --column) {
      const int32_t page = m.tables.get(group, row, column);
      if (page == kNone) continue;
      const bool partly_kept = column * page_size < num_tokens;
      if (m.pool[page].references == 1 && (!partly_kept || of.length > num_tokens)) m.unpublish(page);
      if (partly_kept) {
        // Which of its extras stay is not known: from here on nothing is published.
        const bool has_extra = m.options.prefix_caching && m.index.extra_of(page) != 0;
        if (has_extra && of.length > num_tokens) of.known = 0;
        continue;
      }
      m.release_page(page);
      m.tables.set(group, row, column, kNone);
    }
    Progress& at = m.progress_of(row, group);
    at.first_live = static_cast<int32_t>(std::min<int64_t>(at.first_live, num_tokens / page_size));
  }
  m.show_length(row, num_tokens);
  m.tables.close(row);
  of.length = static_cast<int32_t>(num_tokens);
  of.computed = std::min(of.computed, of.length);
  of.known = std::min(of.known, of.length);
  m.shorten_chains(row);
  // What it was promised and gave up again it may take again, as far as it is there.
  if (of.target > 0) m.update_reserved(row, std::max<int64_t>(0, m.available(row) - of.reserved));
  return {};
}

Result<int64_t> KvCache::fork(int64_t sequence) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  const int64_t parent = m.row_of(sequence);
  if (parent < 0) return Manager::unknown(sequence);
  if (m.sequences[parent].tier >= 0 || m.sequences[parent].transfers > 0) {
    return core::invalid("sequence {} is swapped out or on its way: it must be resident", sequence);
  }
  FLASH_MLA_RETURN_IF_ERROR(m.check_rows());
  const int64_t child = m.begin_row();
  const Sequence& from = m.sequences[parent];
  Sequence& to = m.sequences[child];
  to.length = from.length;
  to.computed = from.computed;
  to.known = from.known;
  to.root = from.root;
  to.priority = from.priority;
  m.tables.open(child);
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    const int64_t columns = m.pages_of(group, from.length);
    for (int64_t column = 0; column < columns; ++column) {
      const int32_t page = m.tables.get(group, parent, column);
      if (page == kNone) continue;
      m.pool.add_reference(page);
      m.tables.set(group, child, column, page);
    }
    m.progress_of(child, group) = m.progress_of(parent, group);
  }
  m.show_length(child, to.length);
  m.tables.close(child);
  return m.id_of_row(child);
}

Status KvCache::freeze(int64_t sequence) {
  Manager& m = *manager_;
  int64_t row = -1;
  FLASH_MLA_RETURN_IF_ERROR(m.writable(sequence, row));
  m.sequences[row].frozen = true;
  return {};
}

}  // namespace flash_mla
