// Arithmetic in any rounding mode.
#pragma once

#include "machine/decoder.h"
#include "machine/number.h"

namespace emulator::machine {

enum class RoundedOperation : uint8_t { add, sub, mul, fma, div, sqrt };

/// Makes d.op that operation.
void set_rounded(Decoder& d, RoundedOperation operation, Rounding rounding, bool is_double, bool ftz, bool sat);

}  // namespace emulator::machine
