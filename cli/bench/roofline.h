// What this machine could do at best, measured in the run that is judged by it.
#pragma once

#include <string>
#include <string_view>

#include "common/report.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla::cli {

/// Whether a measured peak is what clock and FLOP/clock promise; if it is not, a share of it means nothing. Less is a
/// disturbed peak (or threads that share a core), more is a disturbed clock.
constexpr bool is_credible(double peak_fraction) {
  return peak_fraction >= 0.98 && peak_fraction <= 1.02;
}

/// Threads that reach less than this part of as many single ones take turns on a core.
inline constexpr double kOwnCores = 0.7;

/// The ceilings of one backend, dtype and thread count.
struct Roofline {
  std::string backend;
  DType dtype = DType::bfloat16;
  int threads = 0;
  std::string instruction;          ///< that the peak was measured with
  double peak_flops = 0;            ///< FLOP/s of all threads together
  double single_flops = 0;          ///< FLOP/s of one thread alone
  double flop_per_clock = 0;        ///< of a core: the power of two nearest to what one thread reached; 0 if not known
  double least_flop_per_clock = 0;  ///< of any core with this instruction set
  double clock_hz = 0;              ///< of the slowest core, from a chain of dependent additions; 0 if not known
  double bandwidth = 0;             ///< bytes/s that all threads together read from memory
  std::string bandwidth_loop;       ///< the read loop that was the fastest

  /// Of the peak that clock, FLOP/clock and the number of threads promise: two threads that share a core reach half.
  [[nodiscard]] double peak_fraction() const;
  /// Of as many single threads: well below 1 where threads take turns on a core (clocks then fall with the peak).
  [[nodiscard]] double scaling() const;
  /// Whether each thread has a core, with all of its units, to itself.
  [[nodiscard]] bool own_cores() const { return scaling() >= kOwnCores && flop_per_clock >= least_flop_per_clock; }
  [[nodiscard]] bool credible() const { return is_credible(peak_fraction()) && own_cores(); }
};

/// Measures in about a second, on the OpenMP threads that decode() uses. `backend` as find_backend() takes it;
/// `threads` 0 means default_num_workers(). Errors: not_found, unsupported (backend), invalid_argument (OpenMP gives
/// fewer threads).
Result<Roofline> measure_roofline(std::string_view backend, DType dtype, int threads);

Json to_json(const Roofline& roofline);

enum class Bound { compute, memory };
const char* name_of(Bound bound);

/// The least time that this much work can take, and the ceiling that sets it.
struct RooflineTime {
  double seconds = 0;
  Bound bound = Bound::compute;
};
RooflineTime bound_time(const Roofline& roofline, double flop, double bytes);

}  // namespace flash_mla::cli
