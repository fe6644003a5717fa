// Packing for a target: can everything be done with no part dearer than that?
#pragma once

#include <cstddef>
#include <span>

#include "plan/split.h"

namespace flash_mla::plan {

struct PackingProblem {
  std::span<const Item> items;
  int num_parts;
  const CostModel& model;
  PlannerMemory& memory;  ///< has cost and order
  size_t num_coarse;      ///< order[0, num_coarse) are packed; the crumbs after them need only fit in total
  double crumbs;          ///< their cost
};

/// What happens to items that find no room: they are split, or the roomiest parts are filled beyond the target.
enum class Misfits { split, overfill };

/// Fills memory.trial with the coarse items' placements and memory.load with the parts'. Returns the dearest part's
/// load, or infinity if the target is out of reach of this heuristic:
/// 1. items dearer than the target are cut into units that fill a part each, and a remainder;
/// 2. remainders and whole items go, dearest first, to the first part with room (first fit decreasing, which with a
/// search
///    for the target is MULTIFIT: Coffman, Garey and Johnson, 1978);
/// 3. what found no room is cut to fill the gaps, roomiest first (the wrap-around rule of McNaughton, 1959).
double pack(const PackingProblem& problem, double target, Misfits misfits = Misfits::split);

/// Adds order[first, n) whole to memory.best, each to the part with the least load (longest processing time first:
/// Graham, 1969). Updates memory.load and returns its largest.
double spread(const PackingProblem& problem, size_t first);

}  // namespace flash_mla::plan
