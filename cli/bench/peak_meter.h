// The arithmetic peak of some threads, with the clock beside it.
#pragma once

#include "bench/probe.h"
#include "flash_mla/backend.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla::cli {

/// The loop that bounds a backend on this dtype: BF16 dot products only where both have them, else FP32 multiply-adds.
/// Errors: unsupported (a backend this command has no loop for).
Result<PeakProbe> find_probe(std::string_view backend, DType dtype);

class PeakMeter {
 public:
  /// Calibrates itself, in a few ms, so that one measurement takes about `seconds`.
  PeakMeter(const PeakProbe& probe, int threads, double seconds = 0.004);

  struct Sample {
    double flops = 0;     ///< FLOP/s of all threads together
    double clock_hz = 0;  ///< of the slowest core, measured just before and after; 0 if not known here
  };
  [[nodiscard]] Sample measure() const;

 private:
  PeakProbe probe_;
  int threads_;
  int64_t iterations_ = 1;
  int64_t additions_ = 1;
};

}  // namespace flash_mla::cli
