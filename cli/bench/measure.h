// Times a case against the roofline, in turns.
#pragma once

#include <optional>
#include <vector>

#include "bench/bench_case.h"
#include "bench/peak_meter.h"
#include "bench/read_meter.h"
#include "bench/roofline.h"
#include "bench/workload.h"

namespace flash_mla::cli {

/// Median and quartiles; all 0 for no values.
struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};
Spread spread_of(std::vector<double> values);

struct BenchRow {
  BenchCase one;
  Work work;
  int repetitions = 0;
  int64_t copies = 0;  ///< of the KV cache
  Spread seconds;      ///< of a call
  Bound bound = Bound::compute;
  Spread ceiling;               ///< the one that bounds it, beside each repetition: FLOP/s, or bytes/s
  std::optional<Spread> share;  ///< of that ceiling, repetition by repetition; none if the peak is not credible
};

struct Timing {
  int repetitions = 11;
  double seconds = 1.5;  ///< a case ends after this long, though not before kFewest repetitions
};
inline constexpr int kFewestRepetitions = 5;

class Bencher {
 public:
  /// Errors: as find_probe().
  static Result<Bencher> make(const Roofline& roofline, const Timing& timing);
  /// Times the case that `workload` was built for. Errors: as Plan::make() and decode().
  Result<BenchRow> measure(const BenchCase& one, Workload& workload);

 private:
  Bencher(const Roofline& roofline, const PeakProbe& probe, const Timing& timing);
  /// The roofline whose bandwidth is that of the caches, for a case that is read from them.
  Roofline roofline_of(const BenchCase& one);

  Roofline roofline_;
  Timing timing_;
  PeakMeter peak_;
  ReadMeter memory_;
  std::optional<ReadMeter> caches_;
};

}  // namespace flash_mla::cli
