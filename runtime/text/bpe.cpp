#include "text/bpe.h"

#include <queue>
#include <tuple>

namespace flash_mla::runtime {
namespace {

struct Symbol {
  int32_t token;
  int32_t previous;
  int32_t next;
};

/// A pair that could be merged when it was found; the pair may have changed since.
struct Candidate {
  int32_t rank;
  int32_t place;
  int32_t merged;
  friend bool operator>(const Candidate& a, const Candidate& b) {
    return std::tie(a.rank, a.place) > std::tie(b.rank, b.place);
  }
};

}  // namespace

void Bpe::encode(std::string_view word, std::vector<int32_t>& tokens) const {
  if (!words_.empty()) {
    if (const auto whole = words_.find(std::string(word)); whole != words_.end()) {
      tokens.push_back(whole->second);
      return;
    }
  }
  std::vector<Symbol> symbols;
  for (const char character : word) {
    const int32_t token = bytes_[static_cast<uint8_t>(character)];
    if (token < 0) continue;
    const auto place = static_cast<int32_t>(symbols.size());
    symbols.push_back({token, place - 1, place + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](int32_t place) {
    if (place < 0 || symbols[place].next < 0) return;
    const auto found = merges_.find(key(symbols[place].token, symbols[symbols[place].next].token));
    if (found != merges_.end()) queue.push({found->second.rank, place, found->second.merged});
  };
  for (int32_t place = 0; place < static_cast<int32_t>(symbols.size()); ++place) consider(place);
  constexpr int32_t kGone = -1;
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.place];
    if (left.token == kGone || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    const auto found = merges_.find(key(left.token, right.token));
    if (found == merges_.end() || found->second.merged != best.merged) continue;
    left.token = best.merged;
    right.token = kGone;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = best.place;
    consider(left.previous);
    consider(best.place);
  }
  for (int32_t place = 0; place >= 0; place = symbols[place].next) tokens.push_back(symbols[place].token);
}

}  // namespace flash_mla::runtime
