#include "kv_cache/world.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace flash_mla::test {
namespace {

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

World::World(const WorldConfig& config, Choices& choices) : config_(config), choices_(choices) {
  cache_ = std::make_unique<KvCache>(KvCache::make(config.geometry, config.options).value());
  for (int64_t group = 0; group < cache_->num_groups(); ++group) {
    groups_.push_back(cache_->group(group));
    data_.emplace_back(static_cast<size_t>(config.geometry.num_pages * groups_.back().page_size));
  }
  for (const int64_t pages : config.options.tier_pages) tiers_.emplace_back(static_cast<size_t>(pages));
}

uint64_t World::content(uint64_t before, int32_t token, uint64_t extra) const {
  return mix(mix(before + 0x9e3779b97f4a7c15u) ^ (static_cast<uint64_t>(token) + 1) ^ (extra << 32));
}

int64_t World::pages_for(int64_t length) const {
  int64_t pages = 0;
  for (const KvCacheGroup& group : groups_) pages += (length + group.page_size - 1) / group.page_size;
  return pages;
}

int64_t World::any() {
  if (twins_.empty()) return -1;
  auto found = twins_.begin();
  std::advance(found, choices_.below(static_cast<int64_t>(twins_.size())));
  return found->first;
}

std::string World::expect(const Status& status, bool should_work, StatusCode otherwise, const char* what) {
  ++counts[std::string(what) + (status.ok() ? "" : " refused")];
  if (status.code() == (should_work ? StatusCode::ok : otherwise)) return {};
  return std::string(what) + (should_work ? " should have worked: " : " should have been refused otherwise: ") +
         status.message();
}

void World::draw_prompt(std::vector<int32_t>& tokens, SequenceSpec& spec, std::vector<TokenExtra>& extras) {
  // Often the beginning of another sequence, so that there are prefixes to find.
  const int64_t model = choices_.below(4) > 0 ? any() : -1;
  const int64_t most = config_.geometry.max_tokens;
  if (model >= 0) {
    const Twin& twin = twins_[model];
    tokens = twin.tokens;
    if (choices_.below(2) == 0) tokens.resize(static_cast<size_t>(choices_.below(most / 2)) % (tokens.size() + 1));
  }
  const int64_t more = choices_.below(most / 2 + 1);
  for (int64_t i = 0; i < more && static_cast<int64_t>(tokens.size()) < most; ++i) {
    tokens.push_back(static_cast<int32_t>(choices_.below(config_.alphabet)));
  }
  spec.prompt = tokens;
  spec.salt = choices_.below(8) == 0 ? 1 : 0;
  spec.priority = static_cast<int>(choices_.below(3));
  if (choices_.below(6) == 0) {
    extras.push_back({choices_.below(most), 1 + choices_.below(5), static_cast<uint64_t>(1 + choices_.below(2))});
  }
  spec.extras = extras;
}

std::string World::add() {
  std::vector<int32_t> tokens;
  std::vector<TokenExtra> extras;
  SequenceSpec spec;
  draw_prompt(tokens, spec, extras);
  if (choices_.below(5) == 0) spec.reserve_tokens = choices_.below(config_.geometry.max_tokens + 1);
  spec.leave_watermark = choices_.below(2) == 0;
  const Result<Admission> admission = cache_->can_admit(spec);
  if (!admission.ok()) return admission.status().message();
  const bool must_fit = spec.reserve_tokens > 0 || spec.leave_watermark;
  const KvCacheStatistics s = cache_->statistics();
  const bool full = static_cast<int64_t>(twins_.size()) == config_.geometry.max_sequences;
  const bool takes_promised = admission.value().evictable_hits > s.free_pages + s.cached_pages - s.reserved_pages;
  const Result<StartedSequence> started = cache_->add_sequence(spec);
  const bool should_work = !full && (must_fit ? admission.value().fits : !takes_promised);
  if (std::string wrong = expect(started.status(), should_work, StatusCode::out_of_pages, "add"); !wrong.empty()) {
    return wrong;
  }
  if (!started.ok()) return {};
  const int64_t hit = started.value().num_computed_tokens;
  if (hit != admission.value().num_computed_tokens) return "can_admit() saw another prefix";
  if (!tokens.empty() && hit >= static_cast<int64_t>(tokens.size())) return "the last token was taken from the cache";
  counts["hit tokens"] += hit;
  Twin twin;
  twin.start = mix(spec.salt + 77);
  twin.computed = hit;
  const auto extra_at = [&](int64_t position) {
    uint64_t extra = 0;
    for (const TokenExtra& one : extras) {
      if (position >= one.first && position < one.first + one.count)
        extra = mix(one.value ^ static_cast<uint64_t>(one.first));
    }
    return extra;
  };
  // What an image shows depends on where it begins; a prompt with extras is grown with them at once.
  uint64_t last = twin.start;
  for (int64_t i = 0; i < static_cast<int64_t>(tokens.size()); ++i) {
    last = content(last, tokens[i], extra_at(i));
    twin.contents.push_back(last);
  }
  twin.tokens = tokens;
  const int64_t id = started.value().id;
  if (!twins_.emplace(id, twin).second) return "an id was given twice";
  Twin& kept = twins_[id];
  kept.tokens.resize(static_cast<size_t>(hit));
  kept.contents.resize(static_cast<size_t>(hit));
  if (std::string wrong = check_sequence(id, kept, 0); !wrong.empty()) return "a cached prefix: " + wrong;
  if (extras.empty() && choices_.below(2) == 0) return {};
  // The rest of the prompt.
  std::vector<int64_t> slots(tokens.size() - static_cast<size_t>(hit), -7);
  const bool fits = cache_->can_allocate(id, static_cast<int64_t>(slots.size()));
  const Result<PageCopies> copies =
      cache_->grow(id, std::span(tokens).subspan(static_cast<size_t>(hit)), slots, extras);
  if (std::string wrong = expect(copies.status(), fits, StatusCode::out_of_pages, "prompt"); !wrong.empty())
    return wrong;
  if (!copies.ok()) return {};
  kept.tokens = tokens;
  kept.contents = twin.contents;
  return write(id, kept, hit, slots, copies.value());
}

std::string World::write(int64_t id, const Twin& twin, int64_t first, const std::vector<int64_t>& slots,
                         const PageCopies& copies) {
  for (const PageCopy& copy : copies.span()) {
    const int64_t page_size = groups_[copy.group].page_size;
    ++counts["copied pages"];
    std::copy_n(data_[copy.group].begin() + copy.from * page_size, copy.tokens,
                data_[copy.group].begin() + copy.to * page_size);
  }
  for (int64_t group = 0; group < cache_->num_groups(); ++group) {
    std::vector<int64_t> mapped(slots.size());
    const Status status = cache_->slot_mapping(id, group, first, mapped);
    if (!status.ok()) return status.message();
    if (group == 0 && mapped != slots) return "slot_mapping() and grow() give other slots";
    for (size_t i = 0; i < mapped.size(); ++i) data_[group][mapped[i]] = twin.contents[first + static_cast<int64_t>(i)];
  }
  return check_sequence(id, twin, std::max<int64_t>(0, first - 9));
}

std::string World::grow(bool known) {
  const int64_t id = any();
  if (id < 0) return {};
  Twin& twin = twins_[id];
  const auto length = static_cast<int64_t>(twin.contents.size());
  const int64_t count = choices_.below(4) == 0 ? choices_.below(3 * groups_[0].page_size + 1) : 1;
  const bool movable = can_move(twin), too_long = length + count > config_.geometry.max_tokens;
  const bool fits = cache_->can_allocate(id, count);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(choices_.below(config_.alphabet)));
  std::vector<int64_t> slots(static_cast<size_t>(count), -7);
  const Result<PageCopies> copies = known ? cache_->grow(id, tokens, slots) : cache_->grow(id, count, slots);
  const StatusCode otherwise = movable && !too_long ? StatusCode::out_of_pages : StatusCode::invalid_argument;
  if (std::string wrong = expect(copies.status(), movable && !too_long && fits, otherwise, "grow"); !wrong.empty()) {
    return wrong;
  }
  if (!copies.ok()) {
    const bool untouched = std::all_of(slots.begin(), slots.end(), [](int64_t slot) { return slot == -7; });
    return untouched ? "" : "slots of a refused call were written";
  }
  uint64_t last = twin.contents.empty() ? twin.start : twin.contents.back();
  for (const int32_t token : tokens) {
    last = content(last, token, 0);
    twin.tokens.push_back(token);
    twin.contents.push_back(last);
  }
  return write(id, twin, length, slots, copies.value());
}

std::string World::mark_computed() {
  const int64_t id = any();
  if (id < 0) return {};
  Twin& twin = twins_[id];
  const auto length = static_cast<int64_t>(twin.contents.size());
  const int64_t computed = choices_.below(3) > 0 ? length : twin.computed + choices_.below(length - twin.computed + 1);
  const Status status = cache_->mark_computed(id, computed);
  if (std::string wrong = expect(status, can_move(twin), StatusCode::invalid_argument, "mark_computed");
      !wrong.empty()) {
    return wrong;
  }
  if (status.ok()) twin.computed = computed;
  return {};
}

std::string World::rewind() {
  const int64_t id = any();
  if (id < 0) return {};
  Twin& twin = twins_[id];
  const auto length = static_cast<int64_t>(twin.contents.size());
  const int64_t kept =
      choices_.below(3) == 0 ? choices_.below(length + 1) : std::max<int64_t>(0, length - choices_.below(4));
  bool windowed = false;
  for (const KvCacheGroup& group : groups_) windowed |= group.window > 0;
  const Status status = cache_->rewind(id, kept);
  // Down to what is final a rewind must always work; below it a window may lack pages.
  const bool may_fail = windowed && kept < twin.computed && can_move(twin);
  if (!status.ok() && may_fail && status.code() == StatusCode::invalid_argument) {
    ++counts["rewind refused by a window"];
    return {};
  }
  if (std::string wrong = expect(status, can_move(twin), StatusCode::invalid_argument, "rewind"); !wrong.empty()) {
    return wrong;
  }
  if (!status.ok()) return {};
  twin.contents.resize(static_cast<size_t>(kept));
  twin.tokens.resize(static_cast<size_t>(kept));
  twin.computed = std::min(twin.computed, kept);
  return check_sequence(id, twin, std::max<int64_t>(0, kept - 9));
}

std::string World::fork() {
  const int64_t id = any();
  if (id < 0) return {};
  const Twin twin = twins_[id];
  const bool full = static_cast<int64_t>(twins_.size()) == config_.geometry.max_sequences;
  const bool resident = twin.tier < 0 && twin.moving == 0;
  const Result<int64_t> child = cache_->fork(id);
  if (std::string wrong = expect(child.status(), resident && !full,
                                 resident ? StatusCode::out_of_pages : StatusCode::invalid_argument, "fork");
      !wrong.empty()) {
    return wrong;
  }
  if (!child.ok()) return {};
  Twin copy = twin;
  copy.frozen = false;
  if (!twins_.emplace(child.value(), copy).second) return "an id was given twice";
  return check_sequence(child.value(), copy, 0);
}

std::string World::remove() {
  const int64_t id = any();
  if (id < 0) return {};
  const Status status = cache_->remove_sequence(id);
  ++counts["remove"];
  if (!status.ok()) return status.message();
  twins_.erase(id);
  removed_id_ = id;
  return {};
}

std::string World::reserve() {
  const int64_t id = any();
  if (id < 0) return {};
  const Twin& twin = twins_[id];
  const int64_t target = choices_.below(3) == 0 ? 0 : choices_.below(config_.geometry.max_tokens + 1);
  const Status status = cache_->reserve(id, target);
  if (!can_move(twin)) return expect(status, false, StatusCode::invalid_argument, "reserve");
  if (status.code() == StatusCode::out_of_pages) {
    ++counts["reserve refused"];
    const OutOfPages& why = cache_->shortage();
    return why.needed > why.free + why.evictable - why.reserved ? "" : "refused although the pages were there";
  }
  return expect(status, true, StatusCode::ok, "reserve");
}

std::string World::pin() {
  if (pins_.size() > 3) return {};
  std::vector<int32_t> tokens;
  std::vector<TokenExtra> extras;
  SequenceSpec spec;
  draw_prompt(tokens, spec, extras);
  spec.extras = {};
  const Result<int64_t> pinned = cache_->pin_prefix(spec);
  if (!pinned.ok()) return pinned.status().code() == StatusCode::out_of_pages ? "" : pinned.status().message();
  ++counts["pin"];
  if (pinned.value() > 0) pins_.push_back({tokens, spec.salt, pinned.value()});
  return {};
}

std::string World::unpin() {
  if (pins_.empty()) return {};
  const Pin pin = pins_.back();
  pins_.pop_back();
  SequenceSpec spec;
  spec.prompt = pin.tokens;
  spec.salt = pin.salt;
  // Windows make the pages that a prefix needs depend on where the search ends; those may have come and gone.
  const Status status = cache_->unpin_prefix(spec, pin.count);
  return expect(status, true, StatusCode::ok, "unpin");
}

std::string World::swap_out() {
  const int64_t id = any();
  if (id < 0 || tiers_.empty()) return {};
  Twin& twin = twins_[id];
  const int64_t tier = choices_.below(static_cast<int64_t>(tiers_.size()));
  std::vector<PageTransfer> transfers(64);
  const Result<int64_t> made = cache_->swap_out(id, tier, transfers);
  if (!made.ok() && can_move(twin) && made.status().code() == StatusCode::out_of_pages) {
    ++counts["swap_out refused"];
    return {};
  }
  if (std::string wrong = expect(made.status(), can_move(twin), StatusCode::invalid_argument, "swap_out");
      !wrong.empty()) {
    return wrong;
  }
  if (!made.ok()) return {};
  twin.tier = tier;
  twin.moving = made.value();
  for (int64_t i = 0; i < made.value(); ++i) moving_.push_back({transfers[i], false, id});
  return {};
}

std::string World::swap_in() {
  const int64_t id = any();
  if (id < 0) return {};
  Twin& twin = twins_[id];
  std::vector<PageTransfer> transfers(64);
  const Result<int64_t> made = cache_->swap_in(id, transfers);
  const bool ready = twin.tier >= 0 && twin.moving == 0;
  if (!made.ok() && ready && made.status().code() == StatusCode::out_of_pages) {
    ++counts["swap_in refused"];
    return {};
  }
  if (std::string wrong = expect(made.status(), ready, StatusCode::invalid_argument, "swap_in"); !wrong.empty()) {
    return wrong;
  }
  if (!made.ok()) return {};
  twin.tier = -1;
  twin.moving = made.value();
  for (int64_t i = 0; i < made.value(); ++i) moving_.push_back({transfers[i], true, id});
  return made.value() == 0 ? check_sequence(id, twin, 0) : "";
}

/// A copy finishes only now, in any order: until then its page must not have been given to others.
std::string World::complete() {
  if (moving_.empty()) return {};
  const int64_t which = choices_.below(static_cast<int64_t>(moving_.size()));
  const Moving one = moving_[which];
  moving_.erase(moving_.begin() + which);
  const PageTransfer& t = one.transfer;
  const int64_t page_size = groups_[t.group].page_size;
  std::vector<uint64_t>& away = tiers_[t.tier][t.tier_page];
  const auto page = data_[t.group].begin() + t.page * page_size;
  if (one.to_pool) {
    std::copy(away.begin(), away.end(), page);
  } else {
    away.assign(page, page + page_size);
  }
  PageTransfer late = t;
  ++late.epoch;
  if (cache_->complete_transfer(late).ok()) return "a transfer of another epoch was taken for this one";
  if (const Status status = cache_->complete_transfer(t); !status.ok()) return status.message();
  if (cache_->complete_transfer(t).code() != StatusCode::not_found) return "a transfer was completed twice";
  ++counts["transfers"];
  const auto found = twins_.find(one.id);
  if (found == twins_.end()) return {};
  const bool resident = --found->second.moving == 0 && found->second.tier < 0;
  if (resident != cache_->is_resident(one.id)) return "is_resident()";
  return resident ? check_sequence(one.id, found->second, 0) : "";
}

std::string World::misuse() {
  std::vector<int64_t> one(1);
  std::vector<PageTransfer> none;
  for (const int64_t id : {removed_id_, int64_t{-1}, INT64_MAX, INT64_MIN}) {
    const bool refused = cache_->remove_sequence(id).code() == StatusCode::not_found &&
                         cache_->append_tokens(id, one).code() == StatusCode::not_found &&
                         cache_->fork(id).status().code() == StatusCode::not_found &&
                         cache_->rewind(id, 0).code() == StatusCode::not_found &&
                         cache_->mark_computed(id, 0).code() == StatusCode::not_found &&
                         cache_->swap_in(id, none).status().code() == StatusCode::not_found &&
                         cache_->pages_needed(id, 1) == -1 && cache_->length(id) == -1;
    if (!refused && !twins_.contains(id)) return "an unknown sequence was known";
    if (twins_.contains(id)) return "a removed id came back";
  }
  ++counts["misuse"];
  return {};
}

std::string World::forget() {
  if (choices_.below(2) == 0) {
    const Status status = cache_->evict_page(choices_.below(config_.geometry.num_pages + 2) - 1);
    ++counts[status.ok() ? "evict_page" : "evict_page refused"];
    return {};
  }
  const bool used = cache_->num_used_pages() > 0;
  return expect(cache_->reset_prefix_cache(), !used, StatusCode::invalid_argument, "reset");
}

std::string World::step() {
  const int64_t kind = choices_.below(64);
  if (kind < 6) return add();
  if (kind < 24) return grow(true);
  if (kind < 26) return grow(false);
  if (kind < 36) return mark_computed();
  if (kind < 40) return rewind();
  if (kind < 44) return fork();
  if (kind < 49) return remove();
  if (kind < 51) return reserve();
  if (kind < 52) return pin();
  if (kind < 53) return unpin();
  if (kind < 55) return swap_out();
  if (kind < 57) return swap_in();
  if (kind < 61) return complete();
  if (kind < 62) return misuse();
  if (kind < 63) return forget();
  const int64_t id = any();
  if (id < 0 || choices_.below(8) > 0 || !can_move(twins_[id])) return {};
  twins_[id].frozen = true;
  return expect(cache_->freeze(id), true, StatusCode::ok, "freeze");
}

PageArrays World::arrays() {
  std::vector<PageArray> arrays;
  for (size_t group = 0; group < data_.size(); ++group) {
    const int64_t bytes = groups_[group].page_size * static_cast<int64_t>(sizeof(uint64_t));
    arrays.push_back({data_[group].data(), config_.geometry.num_pages, bytes, 0, 8, static_cast<int32_t>(group)});
  }
  return PageArrays::make(arrays).value();
}

std::string World::save_and_restore(const std::string& path, int64_t num_pages) {
  bool away = !moving_.empty();
  for (const auto& [id, twin] : twins_) away |= twin.tier >= 0;
  const Status saved = cache_->snapshot(path, arrays());
  if (std::string wrong = expect(saved, !away, StatusCode::invalid_argument, "snapshot"); !wrong.empty()) return wrong;
  if (!saved.ok()) return {};
  const KvCacheStatistics before = cache_->statistics();
  config_.geometry.num_pages = num_pages;
  std::vector<std::vector<uint64_t>> old = data_;
  for (size_t group = 0; group < data_.size(); ++group) {
    data_[group].assign(static_cast<size_t>(num_pages * groups_[group].page_size), 0xdead);
  }
  Result<KvCache> restored = KvCache::restore(path, arrays(), num_pages);
  if (!restored.ok()) return restored.status().message();
  *cache_ = std::move(restored).value();
  const KvCacheStatistics after = cache_->statistics();
  const bool same = before.used_pages == after.used_pages && before.cached_pages == after.cached_pages &&
                    before.tokens == after.tokens && before.page_references == after.page_references;
  ++counts["restore"];
  return same ? check_all() : "a restored cache has other figures";
}

std::string World::check_sequence(int64_t id, const Twin& twin, int64_t first) {
  const auto length = static_cast<int64_t>(twin.contents.size());
  if (cache_->length(id) != length) return "the length of a sequence";
  if (cache_->num_computed_tokens(id) != twin.computed) return "the computed tokens of a sequence";
  const int64_t row = cache_->row_of(id);
  const bool resident = twin.tier < 0 && twin.moving == 0;
  if (static_cast<const int32_t*>(cache_->seqlens().data)[row] != (resident ? length : 0))
    return "the length in seqlens()";
  if (!resident) return {};
  for (int64_t group = 0; group < cache_->num_groups(); ++group) {
    const KvCacheGroup& of = groups_[group];
    std::vector<int64_t> slots(static_cast<size_t>(length - first));
    if (const Status status = cache_->slot_mapping(id, group, first, slots); !status.ok()) return status.message();
    const ConstTensor table = cache_->page_table(group);
    for (int64_t token = first; token < length; ++token) {
      const bool seen = of.window == 0 || token < of.sinks || token > twin.computed - of.window;
      if (!seen) continue;
      const int64_t slot = slots[token - first];
      const int32_t page = static_cast<const int32_t*>(table.data)[row * table.strides[0] + token / of.page_size];
      if (slot < 0 || slot != page * of.page_size + token % of.page_size) return "the slot of a token that is visible";
      if (data_[group][slot] != twin.contents[token]) {
        return "token " + std::to_string(token) + " of " + std::to_string(length) + " in group " +
               std::to_string(group) + " holds another's keys";
      }
    }
  }
  return {};
}

std::string World::check_all() {
  if (const Status status = cache_->verify(); !status.ok()) return status.message();
  int64_t tokens = 0;
  for (const auto& [id, twin] : twins_) {
    if (std::string wrong = check_sequence(id, twin, 0); !wrong.empty()) return wrong;
    if (twin.tier < 0 && twin.moving == 0) tokens += static_cast<int64_t>(twin.contents.size());
  }
  const KvCacheStatistics s = cache_->statistics();
  if (s.tokens != tokens || s.sequences != static_cast<int64_t>(twins_.size())) return "the sums over all sequences";
  if (s.free_pages + s.cached_pages + s.used_pages != config_.geometry.num_pages) return "the pages' sum";
  return {};
}

}  // namespace flash_mla::test
