#include "machine/clock.h"

namespace emulator::machine {
namespace {

const Foreign* find(const std::shared_ptr<const Elsewhere>& elsewhere, uint32_t cluster) {
  if (elsewhere == nullptr) return nullptr;
  const auto found = elsewhere->find(cluster);
  return found == elsewhere->end() ? nullptr : &found->second;
}

bool covers(const Elsewhere& a, const Elsewhere& b) {
  for (const auto& [cluster, of_b] : b) {
    const auto of_a = a.find(cluster);
    if (of_a == a.end() || !of_a->second.ordered.covers(of_b.ordered) || !of_a->second.fenced.covers(of_b.fenced)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool Knowledge::knows(uint32_t cluster, Agent agent, uint32_t time) const {
  const Foreign* const foreign = find(elsewhere, cluster);
  return foreign != nullptr && foreign->ordered.at(agent) >= time;
}

bool Knowledge::knows_fenced(uint32_t cluster, Agent agent, uint32_t time) const {
  const Foreign* const foreign = find(elsewhere, cluster);
  return foreign != nullptr && foreign->fenced.at(agent) >= time;
}

void Knowledge::fence() {
  fenced.join(ordered);
  if (elsewhere == nullptr) return;
  auto all = std::make_shared<Elsewhere>(*elsewhere);
  for (auto& [cluster, foreign] : *all) foreign.fenced.join(foreign.ordered);
  elsewhere = std::move(all);
}

void join(std::shared_ptr<const Elsewhere>& elsewhere, const std::shared_ptr<const Elsewhere>& other) {
  // Warps that met share one map, so that most joins end here.
  if (other == nullptr || elsewhere == other || (elsewhere != nullptr && covers(*elsewhere, *other))) return;
  if (elsewhere == nullptr || covers(*other, *elsewhere)) {
    elsewhere = other;
    return;
  }
  auto all = std::make_shared<Elsewhere>(*elsewhere);
  for (const auto& [cluster, foreign] : *other) {
    (*all)[cluster].ordered.join(foreign.ordered);
    (*all)[cluster].fenced.join(foreign.fenced);
  }
  elsewhere = std::move(all);
}

void join(std::shared_ptr<const Unfenced>& unfenced, const std::shared_ptr<const Unfenced>& other) {
  if (other == nullptr || unfenced == other) return;
  if (unfenced == nullptr) {
    unfenced = other;
    return;
  }
  auto all = std::make_shared<Unfenced>(*unfenced);
  for (size_t i = 0; i < kScopes; ++i) all->by_scope[i].join(other->by_scope[i]);
  unfenced = std::move(all);
}

}  // namespace emulator::machine
