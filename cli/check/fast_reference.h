// The reference again, some hundred times faster: float64 like reference_decode(), but blocked, vectorised and
// threaded.
#pragma once

#include <string>
#include <vector>

#include "flash_mla/decode.h"
#include "flash_mla/plan.h"

namespace flash_mla::cli {

/// Instruction sets that it can use here, best first: "avx512", "avx2", "portable".
std::vector<std::string> fast_reference_variants();

/// What reference_decode() returns, to about 1e-13. The arguments must be ones that decode() accepts: nothing is
/// checked. Live keys must be finite. `variant`: of fast_reference_variants(), empty for the best.
ReferenceResult fast_reference(const DecodeArgs& args, const Mask& mask, int64_t d_v, const std::string& variant = {});

}  // namespace flash_mla::cli
