// Grids of a stream that a dependent launch may overlap with (programmatic dependent launch). They have run when it
// runs; what it does before griddepcontrol.wait is checked against what they did.
#pragma once

#include <memory>
#include <vector>

#include "machine/global_shadow.h"

namespace emulator::machine {

class Warp;
struct Op;
struct LaunchState;
struct Program;

/// Of a grid that may overlap with those before it.
struct Overlap {
  bool waited = false;                // some thread has waited for the grids before
  bool triggered_after_wait = false;  // and did so before its CTA let the next grid start
};

class Prerequisites {
 public:
  /// A launch that is ordered after all there has been.
  void clear() { grids_.clear(); }
  [[nodiscard]] bool empty() const { return grids_.empty(); }
  /// A grid that has run. Its program has to live until the next clear().
  void add(LaunchState& launch);

  /// Reports an access of the launch's to bytes that a grid before may still be using; `waited`: it comes after
  /// griddepcontrol.wait.
  void check(const Warp& warp, const Op& op, uint64_t address, uint32_t size, bool write, bool waited) const;

 private:
  struct Grid {
    std::unique_ptr<GlobalShadow> shadow;
    const Program* program;
    bool finished_by_wait;  // when a wait of the next launch returns
  };
  std::vector<Grid> grids_;
};

}  // namespace emulator::machine
