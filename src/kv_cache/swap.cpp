// Sequences on their way to a tier and back. The bytes are the caller's to move; what is here makes sure that no page
// is handed out while they move, and that a completion that comes late, twice or for another page changes nothing.
#include <algorithm>

#include "core/error.h"
#include "kv_cache/manager.h"

namespace flash_mla {

using kv_cache::kNone;
using kv_cache::Manager;
using kv_cache::Sequence;
using kv_cache::Transfer;

namespace kv_cache {
namespace {

int32_t& tier_page_of(Manager& m, int64_t row, int64_t group, int64_t column) {
  return m.tier_tables[group][row * m.tables.columns(group) + column];
}

int32_t tier_page_of(const Manager& m, int64_t row, int64_t group, int64_t column) {
  return m.tier_tables[group][row * m.tables.columns(group) + column];
}

/// Calls use(group, column) for the pages that only this sequence has (out) or that are in its tier (in).
template <class Use>
void for_each_page(const Manager& m, int64_t row, bool out, Use&& use) {
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    for (int64_t column = 0; column < m.pages_of(group, m.sequences[row].length); ++column) {
      const int32_t page = m.tables.get(group, row, column);
      const bool wanted =
          out ? page != kNone && m.pool[page].references == 1 : tier_page_of(m, row, group, column) != kNone;
      if (wanted) use(group, column);
    }
  }
}

PageTransfer begin_transfer(Manager& m, const Transfer& what) {
  const int32_t place = m.transfers.places.take();
  Transfer& transfer = m.transfers.list[place];
  const uint32_t generation = transfer.generation;
  transfer = what;
  transfer.generation = generation;
  ++m.sequences[what.row].transfers;
  return {Manager::id_of(generation, place), what.group, what.page, what.epoch, what.tier, what.tier_page};
}

Status check_room(Manager& m, int64_t count, size_t given) {
  if (count > m.transfers.places.count()) {
    return core::error(StatusCode::out_of_pages, "{} transfers are needed, but {} of max_transfers = {} are under way",
                       count, m.transfers.places.size() - m.transfers.places.count(), m.transfers.places.size());
  }
  if (count > static_cast<int64_t>(given)) {
    return core::error(StatusCode::out_of_pages, "transfers has {} places: {} are needed", given, count);
  }
  return {};
}

}  // namespace

void Manager::save_tokens(int32_t page, int64_t tier, int64_t tier_page) {
  if (options.prefix_caching) index.save(page, tier_tokens[tier].data() + tier_page * index.record_size());
}

void Manager::load_tokens(int32_t page, int64_t tier, int64_t tier_page) {
  if (options.prefix_caching) index.load(page, tier_tokens[tier].data() + tier_page * index.record_size());
}

void Manager::abandon_transfers(int64_t row) {
  Sequence& sequence = sequences[row];
  if (sequence.transfers > 0) {
    for (Transfer& transfer : transfers.list) {
      if (transfer.row != row) continue;
      transfer.row = kNone;
      const int32_t column = transfer.column;
      tier_page_of(*this, row, transfer.group, column) = kNone;
      if (transfer.to_pool) tables.set(transfer.group, row, column, kNone);
    }
    sequence.transfers = 0;
  }
  if (sequence.tier < 0) return;
  for_each_page(*this, row, false, [&](int64_t group, int64_t column) {
    int32_t& page = tier_page_of(*this, row, group, column);
    transfers.tiers[sequence.tier].give_back(page);
    page = kNone;
  });
}

}  // namespace kv_cache

Result<int64_t> KvCache::swap_out(int64_t sequence, int64_t tier, std::span<PageTransfer> transfers) {
  Manager& m = *manager_;
  int64_t row = -1;
  FLASH_MLA_RETURN_IF_ERROR(m.writable(sequence, row));
  if (tier < 0 || tier >= static_cast<int64_t>(m.transfers.tiers.size())) {
    return core::invalid("tier is {}: this cache has {}", tier, m.transfers.tiers.size());
  }
  kv_cache::FreeList& space = m.transfers.tiers[tier];
  int64_t count = 0;
  kv_cache::for_each_page(m, row, true, [&](int64_t, int64_t) { ++count; });
  if (count > space.count()) {
    m.shortage = {count, space.count(), 0, 0};
    return core::error(StatusCode::out_of_pages, "sequence {} needs {} pages of tier {}, but {} of {} are free",
                       sequence, count, tier, space.count(), space.size());
  }
  FLASH_MLA_RETURN_IF_ERROR(kv_cache::check_room(m, count, transfers.size()));

  m.set_reserved(row, 0);
  m.sequences[row].tier = static_cast<int32_t>(tier);
  m.tables.open(row);
  m.show_length(row, 0);
  int64_t made = 0;
  kv_cache::for_each_page(m, row, true, [&](int64_t group, int64_t column) {
    const int32_t page = m.tables.get(group, row, column), tier_page = space.take();
    kv_cache::tier_page_of(m, row, group, column) = tier_page;
    m.tables.set(group, row, column, kNone);
    m.save_tokens(page, tier, tier_page);
    Transfer transfer;
    transfer.row = static_cast<int32_t>(row);
    transfer.column = static_cast<int32_t>(column);
    transfer.group = static_cast<int32_t>(group);
    transfer.page = page;
    transfer.epoch = m.pool[page].epoch;
    transfer.tier = static_cast<int32_t>(tier);
    transfer.tier_page = tier_page;
    transfers[made++] = kv_cache::begin_transfer(m, transfer);
  });
  m.tables.close(row);
  return made;
}

Result<int64_t> KvCache::swap_in(int64_t sequence, std::span<PageTransfer> transfers) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  const int64_t row = m.row_of(sequence);
  if (row < 0) return Manager::unknown(sequence);
  Sequence& of = m.sequences[row];
  if (of.tier < 0 || of.transfers > 0) {
    return core::invalid("sequence {} is {}: expected one that is swapped out", sequence,
                         of.transfers > 0 ? "on its way" : "resident");
  }
  int64_t count = 0;
  kv_cache::for_each_page(m, row, false, [&](int64_t, int64_t) { ++count; });
  if (count > m.available(kNone)) {
    return m.out_of_pages(kNone, count, core::format("sequence {}", sequence).c_str());
  }
  FLASH_MLA_RETURN_IF_ERROR(kv_cache::check_room(m, count, transfers.size()));

  m.tables.open(row);
  int64_t made = 0;
  kv_cache::for_each_page(m, row, false, [&](int64_t group, int64_t column) {
    const int32_t page = m.take_page(group);
    m.tables.set(group, row, column, page);
    Transfer transfer;
    transfer.row = static_cast<int32_t>(row);
    transfer.column = static_cast<int32_t>(column);
    transfer.to_pool = true;
    transfer.group = static_cast<int32_t>(group);
    transfer.page = page;
    transfer.epoch = m.pool[page].epoch;
    transfer.tier = of.tier;
    transfer.tier_page = kv_cache::tier_page_of(m, row, group, column);
    m.load_tokens(page, transfer.tier, transfer.tier_page);
    transfers[made++] = kv_cache::begin_transfer(m, transfer);
  });
  of.tier = -1;
  if (made == 0) m.show_length(row, of.length);
  m.tables.close(row);
  return made;
}

Status KvCache::complete_transfer(const PageTransfer& given) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  const int64_t place = given.id & 0xffffffff;
  const bool is_open =
      m.transfers.places.in_use(place) && Manager::id_of(m.transfers.list[place].generation, place) == given.id;
  if (!is_open) {
    return core::error(StatusCode::not_found, "transfer {} does not exist, or has been completed", given.id);
  }
  Transfer& transfer = m.transfers.list[place];
  if (given.page != transfer.page || given.epoch != transfer.epoch || given.epoch != m.pool[transfer.page].epoch) {
    return core::invalid("transfer {} is of page {} in epoch {}: it was begun for page {} in epoch {}, which is now {}",
                         given.id, given.page, given.epoch, transfer.page, transfer.epoch, m.pool[transfer.page].epoch);
  }
  transfer.generation = (transfer.generation + 1) & 0x7fffffff;
  m.transfers.places.give_back(static_cast<int32_t>(place));
  const int64_t row = std::exchange(transfer.row, kNone);
  if (!transfer.to_pool || row < 0) m.release_page(transfer.page);
  if (transfer.to_pool || row < 0) m.transfers.tiers[transfer.tier].give_back(transfer.tier_page);
  if (row < 0) return m.alive();
  Sequence& of = m.sequences[row];
  --of.transfers;
  if (!transfer.to_pool) return m.alive();
  kv_cache::tier_page_of(m, row, transfer.group, transfer.column) = kNone;
  if (of.transfers > 0) return {};
  m.tables.open(row);
  m.show_length(row, of.length);
  m.tables.close(row);
  return {};
}

bool KvCache::is_resident(int64_t sequence) const {
  const int64_t row = manager_->row_of(sequence);
  return row >= 0 && manager_->sequences[row].tier < 0 && manager_->sequences[row].transfers == 0;
}

int64_t KvCache::num_free_tier_pages(int64_t tier) const {
  const auto& tiers = manager_->transfers.tiers;
  return tier < 0 || tier >= static_cast<int64_t>(tiers.size()) ? 0 : tiers[tier].count();
}

}  // namespace flash_mla
