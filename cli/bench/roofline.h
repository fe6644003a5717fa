// What this machine could do at best, measured in the run that is judged by it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/report.h"
#include "flash_mla/tensor.h"

namespace flash_mla::cli {

/// The ceilings of one backend, dtype and thread count.
struct Roofline {
  std::string backend;
  DType dtype = DType::bfloat16;
  int threads = 0;
  std::string instruction;     ///< that the peak was measured with
  double peak_flops = 0;       ///< FLOP/s of all threads together
  double single_flops = 0;     ///< FLOP/s of one thread alone
  double clock_hz = 0;         ///< of one core, all threads busy: a chain of dependent additions, one a cycle
  double flop_per_clock = 0;   ///< of one core: the power of two nearest to what one thread alone reached
  double peak_fraction = 0;    ///< peak_flops / (threads * flop_per_clock * clock_hz)
  double bandwidth = 0;        ///< bytes/s read from memory by all threads
  std::string bandwidth_loop;  ///< the read loop that was the fastest
  bool credible = false;       ///< peak_fraction >= kCredibleFraction; if not, a share of this peak means nothing
};

inline constexpr double kCredibleFraction = 0.98;

enum class Bound { compute, memory };

/// The lower bound of a run's time, and which ceiling sets it.
struct RooflineTime {
  double seconds = 0;
  Bound bound = Bound::compute;
};

const char* name_of(Bound bound);
RooflineTime bound_time(const Roofline& roofline, double flop, double bytes);

/// FLOP and bytes of decoding `queries` x `keys` pairs of rows over the batch (sum of s_q * s_k, masks not discounted)
/// as design and FlashMLA count them: 2 * h_q * pairs * (d + d_v).
double decode_flop(int64_t h_q, int64_t pairs, int64_t d, int64_t d_v);

/// Measures in about a second, with OpenMP's threads as decode() uses them. `threads` 0 means default_num_workers().
/// Errors: not_found, unsupported (as find_backend()), invalid_argument (OpenMP gives fewer threads).
Result<Roofline> measure_roofline(std::string_view backend, DType dtype, int threads);

/// {"backend", "dtype", "threads", "peak_gflops", "clock_ghz", ..., "credible"}.
Json to_json(const Roofline& roofline);

/// The peak again, briefly: to stand beside a repetition of the kernel that it judges.
class PeakMeter {
 public:
  PeakMeter(const Roofline& roofline);
  /// In about 5 ms.
  struct Sample {
    double flops = 0;     ///< FLOP/s of all threads
    double fraction = 0;  ///< of threads * flop_per_clock * the clock measured with it
  };
  Sample measure() const;

 private:
  void (*run_)(int64_t) = nullptr;
  double flop_per_iteration_ = 0;
  double flop_per_clock_ = 0;
  double flops_ = 0;
  int threads_ = 0;
};

}  // namespace flash_mla::cli
