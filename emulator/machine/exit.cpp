// What may still use a CTA's shared memory when the CTA exits: its hardware is another CTA's then.
#include <algorithm>

#include "machine/cta.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

/// Whatever its own threads do themselves is done when they have exited.
bool is_own(const Cta& cta, Agent agent) {
  const auto owns = [&](const Warp& warp) { return agent == warp.agent || agent == cta.cluster->copy_agent(warp); };
  return std::ranges::any_of(cta.warps, owns);
}

void report(const Cta& cta, uint32_t op, const std::string& what) {
  cta.launch().reports->add(Finding::lifetime, UINT32_MAX, op,
                            format("{}: {} may exit before {}", name_of(Finding::lifetime), cta.name(), what));
}

}  // namespace

void Cta::close() {
  closed = true;
  LaunchState& state = launch();
  Clock known;
  for (const Warp& warp : warps) {
    known.join(warp.knowledge.ordered);
    if (!triggered && cluster->knows_prerequisites(warp.knowledge)) state.overlap.triggered_after_wait = true;
  }
  const auto number = [this](const auto& chunk) { return static_cast<uint32_t>(&chunk - race.data()); };
  for (const auto& chunk : race) {
    for (const Access& access : chunk) {
      if (known.at(access.agent) >= access.time || is_own(*this, access.agent)) continue;
      report(*this, access.op,
             format("the {} of its shared {:#x} by {} at {}", access.write ? "write" : "read", number(chunk) * kChunk,
                    name_of(state.shape, cluster->number, access.agent), program().where(access.op)));
    }
  }
  for (const auto& [offset, mbarrier] : mbarriers) {
    if (!known.covers(mbarrier.remote_arrivals)) {
      report(*this, offset, format("another CTA has arrived at its mbarrier at shared {:#x}", offset));
    }
  }
}

}  // namespace emulator::machine
