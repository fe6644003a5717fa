#include "machine/prerequisites.h"

#include "machine/cta.h"
#include "support/format.h"

namespace emulator::machine {

void Prerequisites::add(LaunchState& launch) {
  // The next grid starts when this one's CTAs have all triggered or exited, and its wait returns when this one has
  // finished. Of the grids before this one either says something only if a thread of this one has waited for them.
  std::vector<Grid> left;
  for (Grid& grid : grids_) {
    if (grid.finished_by_wait && launch.overlap.triggered_after_wait) continue;
    grid.finished_by_wait &= launch.overlap.waited;
    left.push_back(std::move(grid));
  }
  constexpr size_t kMost = 8;
  if (left.size() == kMost) left.erase(left.begin());
  grids_ = std::move(left);
  grids_.push_back({std::move(launch.global), launch.program, true});
}

void Prerequisites::check(const Warp& warp, const Op& op, uint64_t address, uint32_t size, bool write,
                          bool waited) const {
  for (const Grid& grid : grids_) {
    if (waited && grid.finished_by_wait) continue;
    const auto found = grid.shadow->find(address, size, write);
    if (!found) continue;
    const Access& earlier = found->conflict.earlier;
    const char* const reason = waited ? "no grid in between has waited for" : "there is no griddepcontrol.wait after";
    warp.report(op, Finding::race,
                format("{} of global {:#x}, before which {} the {} by kernel {} at {}", write ? "write" : "read",
                       found->address, reason, earlier.write ? "write" : "read", grid.program->name,
                       grid.program->where(earlier.op)));
  }
}

}  // namespace emulator::machine
