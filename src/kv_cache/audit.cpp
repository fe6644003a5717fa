// verify(): counts everything again from what it is made of.
#include <algorithm>
#include <vector>

#include "core/error.h"
#include "kv_cache/manager.h"

namespace flash_mla {

namespace kv_cache {
namespace {

/// What the rows say together.
struct Sums {
  explicit Sums(int64_t num_pages) : references(static_cast<size_t>(num_pages)) {}
  std::vector<int64_t> references;
  int64_t tokens = 0, waste = 0, reserved = 0, rows = 0, transfers = 0;
};

Status wrong(const std::string& what) {
  return {StatusCode::corrupt, what};
}

/// The pages of one row in one group, counted into the sums.
Status audit_pages(const Manager& m, int64_t row, int64_t group, Sums& sums) {
  const Sequence& sequence = m.sequences[row];
  const bool exists = m.rows.in_use(row), away = sequence.tier >= 0 || sequence.transfers > 0;
  for (int64_t column = 0; column < m.tables.columns(group); ++column) {
    const int32_t page = m.tables.get(group, row, column);
    const bool live = exists && m.is_live(row, group, column);
    if (page == kNone) {
      if (live && !away) return wrong(core::format("row {} lacks page {} of group {}", row, column, group));
      continue;
    }
    if (!live || !m.pool.contains(page) || m.pool[page].group != group) {
      return wrong(
          core::format("row {} has page {} at {} of group {}, where it does not belong", row, page, column, group));
    }
    ++sums.references[page];
  }
  return {};
}

Status audit_chain(const Manager& m, int64_t row, int64_t group) {
  const Sequence& sequence = m.sequences[row];
  const Progress& at = m.progress_of(row, group);
  const int64_t page_size = m.groups[group].page_size;
  if (at.published * page_size > std::min(sequence.computed, sequence.length)) {
    return wrong(
        core::format("row {} has published {} pages of {} computed tokens", row, at.published, sequence.computed));
  }
  Prefix chain = sequence.root;
  for (int64_t column = 0; column < at.published; ++column) {
    const int32_t page = m.tables.get(group, row, column);
    if (page == kNone || !m.pool[page].published) return {};  // from here on it cannot be followed
    const Prefix parent = m.index.parent_of(page);
    if (!(parent.hash == chain.hash) || (m.groups[group].window == 0 && parent.serial != chain.serial)) {
      return wrong(core::format("page {} of row {} follows another prefix than the one before it", column, row));
    }
    chain = m.index.prefix_of(page);
  }
  return at.chain.hash == chain.hash ? Status() : wrong(core::format("row {} has lost its hash chain", row));
}

Status audit_row(const Manager& m, int64_t row, Sums& sums) {
  const Sequence& sequence = m.sequences[row];
  const bool exists = m.rows.in_use(row), away = sequence.tier >= 0 || sequence.transfers > 0;
  const int64_t shown = m.tables.length(row);
  if (shown != (exists && !away ? sequence.length : 0) || sequence.length < 0 ||
      sequence.length > m.geometry.max_tokens) {
    return wrong(core::format("row {} shows length {} for a sequence of {}", row, shown, sequence.length));
  }
  if (exists && (sequence.computed > sequence.length || sequence.known > sequence.length || sequence.reserved < 0)) {
    return wrong(core::format("row {} has computed {} and knows {} of {} tokens", row, sequence.computed,
                              sequence.known, sequence.length));
  }
  sums.tokens += shown;
  sums.waste += m.waste_of(shown);
  sums.rows += exists;
  if (exists) sums.reserved += sequence.reserved;
  if (exists) sums.transfers += sequence.transfers;
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    FLASH_MLA_RETURN_IF_ERROR(audit_pages(m, row, group, sums));
    if (exists && m.options.prefix_caching) FLASH_MLA_RETURN_IF_ERROR(audit_chain(m, row, group));
  }
  return {};
}

Status audit_transfers(const Manager& m, Sums& sums) {
  if (!m.transfers.places.agrees()) return wrong("the list of transfers does not add up");
  int64_t open = 0;
  for (int64_t place = 0; place < m.transfers.places.size(); ++place) {
    if (!m.transfers.places.in_use(place)) continue;
    const Transfer& transfer = m.transfers.list[place];
    if (!m.pool.contains(transfer.page) || m.pool[transfer.page].epoch != transfer.epoch) {
      return wrong(core::format("page {} was handed out while a transfer of it was under way", transfer.page));
    }
    open += transfer.row >= 0;
    // A page on its way out, or of a sequence that is gone, is the transfer's.
    if (!transfer.to_pool || transfer.row < 0) ++sums.references[transfer.page];
  }
  return open == sums.transfers ? Status() : wrong("the sequences' transfers do not add up");
}

/// Pages of the tiers: those of sequences that are away, and those of transfers that bring pages back or are abandoned.
Status audit_tiers(const Manager& m) {
  std::vector<int64_t> used(m.transfers.tiers.size());
  bool taken = true;
  const auto count = [&](int64_t tier, int64_t page) {
    taken = taken && m.transfers.tiers[tier].in_use(page);
    ++used[tier];
  };
  for (int64_t group = 0; group < static_cast<int64_t>(m.tier_tables.size()); ++group) {
    const int64_t columns = m.tables.columns(group);
    for (int64_t row = 0; row < m.geometry.max_sequences; ++row) {
      const int32_t* pages = m.tier_tables[group].data() + row * columns;
      if (!m.rows.in_use(row) || m.sequences[row].tier < 0) continue;
      for (int64_t column = 0; column < columns; ++column) {
        if (pages[column] != kNone) count(m.sequences[row].tier, pages[column]);
      }
    }
  }
  for (int64_t place = 0; place < m.transfers.places.size(); ++place) {
    const Transfer& transfer = m.transfers.list[place];
    if (m.transfers.places.in_use(place) && (transfer.to_pool || transfer.row < 0)) {
      count(transfer.tier, transfer.tier_page);
    }
  }
  for (size_t tier = 0; tier < used.size(); ++tier) {
    const FreeList& pages = m.transfers.tiers[tier];
    if (!taken || !pages.agrees() || used[tier] != pages.size() - pages.count()) {
      return wrong(core::format("the pages of tier {} do not add up", tier));
    }
  }
  return {};
}

}  // namespace

Status audit(const Manager& m) {
  if (!m.rows.agrees()) return wrong("the free rows do not add up");
  if (!m.pool.lists_agree()) return wrong("the lists of free and cached pages do not add up");
  if (!m.index.agrees(m.pool, m.groups)) return wrong("the prefix index does not agree with the pages");
  Sums sums(m.pool.size());
  for (int64_t row = 0; row < m.geometry.max_sequences; ++row) FLASH_MLA_RETURN_IF_ERROR(audit_row(m, row, sums));
  FLASH_MLA_RETURN_IF_ERROR(audit_transfers(m, sums));
  FLASH_MLA_RETURN_IF_ERROR(audit_tiers(m));
  for (int64_t page = 0; page < m.pool.size(); ++page) {
    const Page& of = m.pool[page];
    if (of.references == sums.references[page] + of.pins) continue;
    return wrong(core::format("page {} has {} references: {} are known, and {} pins", page, of.references,
                              sums.references[page], of.pins));
  }
  const Counters& c = m.counters;
  if (sums.tokens != c.tokens || sums.waste != c.wasted_tokens || sums.rows != c.sequences) {
    return wrong("the sums over all sequences do not add up");
  }
  if (sums.reserved != c.reserved_pages || sums.reserved > m.pool.num_free() + m.pool.num_cached()) {
    return wrong(core::format("{} pages are reserved, {} counted, of {}", sums.reserved, int64_t{c.reserved_pages},
                              m.pool.num_free() + m.pool.num_cached()));
  }
  return {};
}

}  // namespace kv_cache

Status KvCache::verify() {
  FLASH_MLA_RETURN_IF_ERROR(manager_->alive());
  const Status found = kv_cache::audit(*manager_);
  return found.ok() ? found : manager_->poison(found.message());
}

}  // namespace flash_mla
