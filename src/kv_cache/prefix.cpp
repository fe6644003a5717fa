// The prefix cache: finding, publishing, pinning and forgetting.
#include <algorithm>
#include <limits>

#include "core/error.h"
#include "kv_cache/manager.h"

namespace flash_mla {

using kv_cache::Hit;
using kv_cache::kNone;
using kv_cache::Manager;

namespace kv_cache {
namespace {

/// What of a prompt a group's column holds.
struct Block {
  std::span<const int32_t> tokens;
  uint64_t extra = 0;
};

Block block_of(const Manager& m, const SequenceSpec& spec, int64_t group, int64_t column) {
  const int64_t page_size = m.groups[group].page_size, first = column * page_size;
  return {spec.prompt.subspan(static_cast<size_t>(first), static_cast<size_t>(page_size)),
          spec.extras.empty() ? 0 : m.fold_extras(spec.extras, first, page_size, 0)};
}

/// Fills hits and hit_chain of a group for up to `limit` tokens: the tokens found from the start without a gap. Without
/// a window the search ends at the first gap; with one it goes on, as only the end of the prefix is needed.
int64_t look_up(Manager& m, const SequenceSpec& spec, int64_t group, const Prefix& root, int64_t limit) {
  const int64_t page_size = m.groups[group].page_size;
  const bool windowed = m.groups[group].window > 0;
  Prefix chain = root;
  for (int64_t column = 0; column < limit / page_size; ++column) {
    const Block block = block_of(m, spec, group, column);
    const KvCacheHash hash = m.index.hash_of(chain.hash, static_cast<int>(group), block.tokens, block.extra);
    const uint64_t parent = windowed ? kAnyParent : chain.serial;
    const int32_t page = m.index.find(m.pool, hash, static_cast<int>(group), parent, block.tokens, block.extra);
    if (page == kNone && !windowed) return column * page_size;
    chain = windowed ? Prefix{hash, 0} : m.index.prefix_of(page);
    m.hits[group][column] = page;
    m.hit_chain[group][column] = chain;
  }
  return limit / page_size * page_size;
}

/// Whether a prefix of `length` tokens needs this column of a windowed group.
bool is_needed(const Manager& m, int64_t group, int64_t column, int64_t length) {
  const KvCacheGroup& of = m.groups[group];
  return of.window == 0 || column < m.sink_columns(group) || (column + 1) * of.page_size > length - of.window + 1;
}

/// The longest prefix of at most `length` tokens for which a windowed group has all that the window shows.
int64_t fit_window(const Manager& m, int64_t group, int64_t length) {
  const int64_t page_size = m.groups[group].page_size;
  for (int64_t column = length / page_size - 1; column >= 0;) {
    if (!is_needed(m, group, column, length)) {
      column = std::min(column, m.sink_columns(group)) - 1;  // on to the sinks
    } else if (m.hits[group][column] == kNone) {
      length = column * page_size / m.hit_unit * m.hit_unit;
      column = length / page_size - 1;
    } else {
      --column;
    }
  }
  return length;
}

}  // namespace

Hit Manager::find(const SequenceSpec& spec) {
  Hit hit;
  // At least one token is left to compute, as its query is what the caller wants.
  hit.tokens = std::max<int64_t>(0, static_cast<int64_t>(spec.prompt.size()) - 1) / hit_unit * hit_unit;
  if (!options.prefix_caching || hit.tokens == 0) return {};
  const Prefix root = index.root(spec.salt, spec.adapter);
  for (const bool windowed : {false, true}) {
    for (int64_t group = 0; group < num_groups(); ++group) {
      if ((groups[group].window > 0) != windowed) continue;
      hit.tokens = look_up(*this, spec, group, root, hit.tokens) / hit_unit * hit_unit;
    }
  }
  for (int64_t before = -1; before != hit.tokens;) {
    before = hit.tokens;
    for (int64_t group = 0; group < num_groups(); ++group) {
      if (groups[group].window > 0) hit.tokens = fit_window(*this, group, hit.tokens);
    }
  }
  for (int64_t group = 0; group < num_groups(); ++group) {
    for (int64_t column = 0; column < hit.tokens / groups[group].page_size; ++column) {
      int32_t& page = hits[group][column];
      if (!is_needed(*this, group, column, hit.tokens)) page = kNone;
      if (page == kNone) continue;
      ++hit.pages;
      hit.evictable += pool[page].place == Place::cached;
    }
  }
  return hit;
}

void Manager::publish(int64_t row) {
  Sequence& sequence = sequences[row];
  const int64_t final_tokens = std::min(sequence.computed, sequence.known);
  for (int64_t group = 0; group < num_groups(); ++group) {
    const int64_t page_size = groups[group].page_size;
    const bool windowed = groups[group].window > 0;
    Progress& at = progress_of(row, group);
    for (; (at.published + 1) * page_size <= final_tokens; ++at.published) {
      const int32_t page = tables.get(group, row, at.published);
      if (page == kNone) break;  // left the window before its tokens were known
      if (!pool[page].published) {
        const std::span<const int32_t> tokens(index.tokens_of(page), static_cast<size_t>(page_size));
        const KvCacheHash hash = index.hash_of(at.chain.hash, static_cast<int>(group), tokens, index.extra_of(page));
        index.publish(pool, page, hash, {at.chain.hash, windowed ? 0 : at.chain.serial}, page_size);
        counters.published_pages += 1;
        record({KvCacheEvent::Kind::stored, static_cast<int32_t>(group), page, static_cast<int32_t>(page_size), hash,
                at.chain.hash});
      }
      pool[page].priority = std::max(pool[page].priority, sequence.priority);
      at.chain = index.prefix_of(page);
      if (windowed) at.chain.serial = 0;
    }
  }
}

void Manager::shorten_chains(int64_t row) {
  Sequence& sequence = sequences[row];
  for (int64_t group = 0; group < num_groups(); ++group) {
    Progress& at = progress_of(row, group);
    const int64_t kept = sequence.length / groups[group].page_size;
    if (kept >= at.published) continue;
    at.published = static_cast<int32_t>(kept);
    if (kept == 0) {
      at.chain = sequence.root;
      continue;
    }
    const int32_t page = tables.get(group, row, kept - 1);
    if (page != kNone && pool[page].published) {
      at.chain = index.prefix_of(page);
      if (groups[group].window > 0) at.chain.serial = 0;
    } else {
      sequence.known = 0;  // the chain is lost: what follows is not published
    }
  }
}

uint64_t Manager::fold_extras(std::span<const TokenExtra> extras, int64_t first, int64_t count, uint64_t extra) const {
  const auto touches = [&](const TokenExtra& one) {
    return one.first < first + count && one.first + one.count > first;
  };
  if (std::none_of(extras.begin(), extras.end(), touches)) return extra;
  for (int64_t token = first; token < first + count; ++token) {
    for (const TokenExtra& one : extras) {
      if (token >= one.first && token < one.first + one.count) extra = index.fold(extra, one, token);
    }
  }
  return extra;
}

Status Manager::check(std::span<const TokenExtra> extras) {
  int64_t least = 0;
  for (size_t i = 0; i < extras.size(); ++i) {
    const TokenExtra& one = extras[i];
    if (one.first >= least && one.count > 0 && one.first <= std::numeric_limits<int64_t>::max() - one.count) {
      least = one.first;
      continue;
    }
    return core::invalid("extras[{}] has first = {} and count = {}: must be in order of first, with a count above 0", i,
                         one.first, one.count);
  }
  return {};
}

Status Manager::check(const SequenceSpec& spec) const {
  const auto prompt = static_cast<int64_t>(spec.prompt.size());
  if (prompt > geometry.max_tokens) {
    return core::invalid("prompt has {} tokens: max_tokens is {}", prompt, geometry.max_tokens);
  }
  if (spec.reserve_tokens < 0 || spec.reserve_tokens > geometry.max_tokens) {
    return core::invalid("reserve_tokens is {}: must be 0 to max_tokens = {}", spec.reserve_tokens,
                         geometry.max_tokens);
  }
  if (spec.priority < 0 || spec.priority >= kNumKvCachePriorities) {
    return core::invalid("priority is {}: must be 0 to {}", spec.priority, kNumKvCachePriorities - 1);
  }
  return check(spec.extras);
}

}  // namespace kv_cache

Result<int64_t> KvCache::find_prefix(const SequenceSpec& spec) {
  FLASH_MLA_RETURN_IF_ERROR(manager_->alive());
  FLASH_MLA_RETURN_IF_ERROR(manager_->check(spec));
  return manager_->find(spec).tokens;
}

Result<int64_t> KvCache::pin_prefix(const SequenceSpec& spec) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  FLASH_MLA_RETURN_IF_ERROR(m.check(spec));
  const Hit hit = m.find(spec);
  if (hit.evictable > m.available(kNone)) return m.out_of_pages(kNone, hit.evictable, "pin_prefix()");
  for (int64_t group = 0; group < m.num_groups(); ++group) {
    for (int64_t column = 0; column < hit.tokens / m.groups[group].page_size; ++column) {
      const int32_t page = m.hits[group][column];
      if (page == kNone) continue;
      m.pool.add_reference(page);
      ++m.pool[page].pins;
    }
  }
  return hit.tokens;
}

Status KvCache::unpin_prefix(const SequenceSpec& spec, int64_t num_tokens) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  FLASH_MLA_RETURN_IF_ERROR(m.check(spec));
  // Found again: pinned pages stay published. One token more than was pinned, as a hit leaves the last one out.
  const auto prompt = static_cast<int64_t>(spec.prompt.size());
  const bool possible = num_tokens > 0 && num_tokens < prompt && num_tokens % m.hit_unit == 0;
  SequenceSpec pinned = spec;
  if (possible) pinned.prompt = spec.prompt.first(static_cast<size_t>(num_tokens) + 1);
  bool is_pinned = possible && m.find(pinned).tokens == num_tokens;
  for (const bool undo : {false, true}) {
    for (int64_t group = 0; group < m.num_groups() && is_pinned; ++group) {
      for (int64_t column = num_tokens / m.groups[group].page_size - 1; column >= 0; --column) {
        const int32_t page = m.hits[group][column];
        if (page == kNone) continue;
        if (m.pool[page].pins == 0) is_pinned = false;
        if (!undo || !is_pinned) continue;
        --m.pool[page].pins;
        m.release_page(page);
      }
    }
  }
  if (is_pinned) return {};
  return core::invalid("num_tokens is {}: no prefix of that length of this prompt of {} tokens is pinned", num_tokens,
                       prompt);
}

Status KvCache::reset_prefix_cache() {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  if (m.pool.num_used() > 0) {
    return core::invalid("{} pages are in use: the prefix cache can be reset only when none is", m.pool.num_used());
  }
  while (m.pool.num_cached() > 0) {
    const int32_t page = m.pool.oldest_cached();
    m.index.unpublish(m.pool, page);
    m.pool.free_cached(page);
  }
  KvCacheEvent cleared;
  cleared.kind = KvCacheEvent::Kind::cleared;
  m.record(cleared);
  return {};
}

Status KvCache::evict_page(int64_t page) {
  Manager& m = *manager_;
  FLASH_MLA_RETURN_IF_ERROR(m.alive());
  if (!m.pool.contains(page) || m.pool[page].place != kv_cache::Place::cached) {
    return core::invalid("page {} is not cached, or in use: expected a cached page of the {} of this pool", page,
                         m.pool.size());
  }
  m.evict(static_cast<int32_t>(page));
  m.counters.evictions += 1;
  return {};
}

}  // namespace flash_mla
