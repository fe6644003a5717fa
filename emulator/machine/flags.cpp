#include "machine/flags.h"

#include <algorithm>

#include "machine/cta.h"

namespace emulator::machine {
namespace {

/// How far the reader is from the CTA that wrote: as an index of scopes.
size_t distance(uint32_t cluster, uint32_t rank, const Cta& reader) {
  if (cluster != reader.cluster->number) return index_of(Scope::device);
  return index_of(rank == reader.rank ? Scope::cta : Scope::cluster);
}

}  // namespace

uint64_t Flags::word_of(const Cta* shared_of, uint64_t at) {
  constexpr uint64_t kShared = 1ull << 63;
  if (shared_of == nullptr) return at;
  return kShared | uint64_t{shared_of->cluster->number} << 29 | uint64_t{shared_of->rank} << 24 | at;
}

Flags::Released& Flags::entry_of(Flag& flag, const Warp& warp) {
  const uint32_t cluster = warp.cta->cluster->number, rank = warp.cta->rank;
  const auto same = [&](const Released& each) { return each.cluster == cluster && each.rank == rank; };
  const auto found = std::find_if(flag.released.begin(), flag.released.end(), same);
  if (found != flag.released.end()) return *found;
  Released& added = flag.released.emplace_back();
  added.cluster = cluster;
  added.rank = rank;
  return added;
}

Knowledge Flags::received(const Released& released, size_t distance, const Warp& reader) {
  Knowledge result;
  if (released.cluster == reader.cta->cluster->number) {
    result.ordered = released.ordered[distance];
    result.fenced = released.fenced;
    result.elsewhere = released.elsewhere;
    return result;
  }
  auto all = std::make_shared<Elsewhere>();
  (*all)[released.cluster] = {released.ordered[distance], released.fenced};
  result.elsewhere = std::move(all);
  join(result.elsewhere, released.elsewhere);
  return result;
}

void Flags::read(Warp& warp, const Op& op, uint64_t word) {
  if (flags_.empty() || op.scope == Scope::none) return;
  const auto found = flags_.find(word);
  if (found == flags_.end()) return;
  const Flag& flag = found->second;
  const uint64_t seen = flag.version * 2 + (op.acquires ? 1 : 0);
  if (warp.last_flag == seen) return;  // a warp that spins
  warp.last_flag = seen;
  for (const Released& released : flag.released) {
    const size_t far = distance(released.cluster, released.rank, *warp.cta);
    if (index_of(op.scope) < far || released.ordered[far].empty()) continue;
    const Knowledge news = received(released, far, warp);
    if (op.acquires) {
      warp.acquire(news);
    } else {
      auto all = warp.knowledge.unfenced != nullptr ? std::make_shared<Unfenced>(*warp.knowledge.unfenced)
                                                    : std::make_shared<Unfenced>();
      all->by_scope[far].join(news);
      warp.knowledge.unfenced = std::move(all);
    }
  }
}

void Flags::write(Warp& warp, const Op& op, uint64_t word, bool updates) {
  const auto found = flags_.find(word);
  const bool strong = op.scope != Scope::none;
  const Knowledge& known = warp.knowledge;
  const auto hands_on = [&](size_t i) { return strong && i <= index_of(op.scope) && !known.published[i].empty(); };
  if (!op.releases && !hands_on(index_of(Scope::cta))) {
    // Nothing new; a store ends what the word has carried.
    if (found != flags_.end() && !updates) flags_.erase(found);
    return;
  }
  Flag& flag = flags_[word];
  if (!updates) flag.released.clear();
  Released& released = entry_of(flag, warp);
  for (size_t i = 0; i < kScopes; ++i) {
    if (op.releases && i <= index_of(op.scope)) {
      released.ordered[i].join(known.ordered);
    } else if (hands_on(i)) {
      released.ordered[i].join(known.published[i]);
    }
  }
  released.fenced.join(known.fenced);
  join(released.elsewhere, known.elsewhere);
  flag.version = ++versions_;
  if (op.releases) warp.release();
}

void Flags::fence(Warp& warp, Scope scope) {
  if (const auto unfenced = std::move(warp.knowledge.unfenced)) {
    auto left = std::make_shared<Unfenced>();
    for (size_t i = 0; i < kScopes; ++i) {
      i <= index_of(scope) ? warp.acquire(unfenced->by_scope[i]) : left->by_scope[i].join(unfenced->by_scope[i]);
    }
    if (scope != Scope::device) warp.knowledge.unfenced = std::move(left);
  }
  warp.knowledge.publish(scope);
  warp.release();
}

}  // namespace emulator::machine
