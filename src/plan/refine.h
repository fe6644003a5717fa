// Local search from a schedule that packing found.
#pragma once

#include "plan/pack.h"

namespace flash_mla::plan {

/// Takes work from the dearest part of memory.best while that makes it cheaper: moves a unit, moves some of a unit's
/// keys, or swaps two units, whichever leaves the dearer of the two parts cheapest. Stops at `good_enough`, where
/// nothing helps, or after `budget` looks at a pair of a unit and a part. memory.load must hold the parts' loads;
/// returns the largest left.
double refine(const PackingProblem& problem, double good_enough, int64_t budget);

}  // namespace flash_mla::plan
