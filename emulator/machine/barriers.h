// Shared by the files of barrier instructions.
#pragma once

#include "machine/decoder.h"

namespace emulator::machine {

void decode_warp_barrier(Decoder& d);  // bar.warp.sync

}  // namespace emulator::machine
