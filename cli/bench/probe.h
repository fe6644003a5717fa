// Loops that keep one instruction set's arithmetic units busy, and nothing else: what a kernel could reach at best.
#pragma once

#include <cstdint>

namespace flash_mla::cli {

/// Independent multiply-accumulate chains over registers; no memory is touched. `run` is null where this build lacks
/// the instruction set.
struct PeakProbe {
  void (*run)(int64_t iterations) = nullptr;
  double flop_per_iteration = 0;
  const char* instruction = "";  ///< what one chain repeats
  /// What every core with this instruction set can do alone (but the first of their kind, which split registers in
  /// two). Less means that another thread uses the same core's units.
  double least_flop_per_clock = 0;
};

// One function a file, compiled with that instruction set's flags; call only the one whose backend is usable.
PeakProbe probe_avx512_bf16();
PeakProbe probe_avx512();
PeakProbe probe_avx2();
PeakProbe probe_neon_bf16();
PeakProbe probe_neon();
PeakProbe probe_scalar();

}  // namespace flash_mla::cli
