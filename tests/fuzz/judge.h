// Judges a decode call by its arguments alone, whatever views they are.
#pragma once

#include "flash_mla/decode.h"

namespace flash_mla::fuzz {

/// Aborts unless `args.out` and `args.lse`, as decode() left them, are what the reference says.
///
/// Twice the contract's bars: it states them for data sets, and a fuzzer looks at millions of rows. A row that sees a
/// key that is not finite may be NaN where the reference is finite or infinite; a row whose sequence holds such a key
/// for another row is right or NaN.
void judge(const DecodeArgs& args, const Mask& mask, int64_t d_v, const ReferenceResult& reference);

}  // namespace flash_mla::fuzz
