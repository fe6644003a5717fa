// What atomic instructions and copies that reduce do to a value in memory.
#pragma once

#include <cstdint>

#include "ptx/type.h"

namespace emulator::machine {

enum AtomicKind : uint8_t { kAnd, kOr, kXor, kExch, kAdd, kInc, kDec, kMin, kMax, kCas };

/// The new bits of a value that was `old`. `c`: what kCas puts there where `old` is `b`.
uint64_t combined(uint8_t kind, ptx::Type type, uint64_t old, uint64_t b, uint64_t c);

}  // namespace emulator::machine
