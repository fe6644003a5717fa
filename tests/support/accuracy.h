// The contract's bars: how far a result may be from the float64 reference.
#pragma once

#include <gtest/gtest.h>

#include "support/scene.h"

namespace flash_mla::test {

/// Every element of out within 8e-4 absolute or 2.01/128 relative; every row within a cosine distance of 5e-6, if it
/// has at least 64 columns (rounding to bfloat16 takes 1.3e-6 of that on average, and in narrow rows one element
/// decides); lse within 2e-5 absolute, and within 1e-6 absolute or 8.01/65536 relative. Rows without keys are exactly 0
/// and -inf; NaN and infinities are where the reference has them. What lies beside the outputs is untouched, as is lse
/// where it was not asked for.
testing::AssertionResult is_accurate(const Scene& scene, const Output& output, const ReferenceResult& reference,
                                     bool with_lse = true);

}  // namespace flash_mla::test
