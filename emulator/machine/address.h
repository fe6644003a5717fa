// Where the state spaces lie in the generic address space.
#pragma once

#include <cstdint>

namespace emulator::machine {

/// The generic address of a shared address is this plus its 32 bits. Of these the low 24 are the offset in a CTA, and
/// the rest is the CTA's rank in its cluster plus 1, or 0 for the CTA that uses the address.
constexpr uint64_t kSharedWindow = 1ull << 32;
constexpr uint64_t kLocalWindow = 2ull << 32;
constexpr uint64_t kParameterWindow = 3ull << 32;
/// Device memory lies above; no address of the host's looks like one.
constexpr uint64_t kDeviceStart = 0x0700'0000'0000'0000ull;

constexpr uint32_t kRankShift = 24;
constexpr uint32_t kOffsetMask = (1u << kRankShift) - 1;

inline uint64_t window_of(uint64_t address) {
  return address & ~0xffffffffull;
}

}  // namespace emulator::machine
