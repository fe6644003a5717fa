// Instructions that exist for integers and for floating point: the float file looks at the type and hands integers
// over.
#pragma once

#include "machine/decoder.h"

namespace emulator::machine {

void decode_integer_add(Decoder& d, bool subtract);
void decode_integer_multiply(Decoder& d);
void decode_integer_mad(Decoder& d);
void decode_integer_divide(Decoder& d);
void decode_integer_min(Decoder& d, bool max);
void decode_integer_abs(Decoder& d, bool negate);

}  // namespace emulator::machine
