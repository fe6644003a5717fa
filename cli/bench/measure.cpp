#include "bench/measure.h"

#include <algorithm>
#include <cmath>

#include "bench/team.h"

namespace flash_mla::cli {
namespace {

/// Long enough that starting the threads and reading the clock do not show.
constexpr double kShortestSample = 2e-3;

/// Seconds a call, over `calls` calls.
Result<double> time_calls(Workload& workload, int64_t calls) {
  const double start = seconds_now();
  for (int64_t i = 0; i < calls; ++i) {
    if (Status status = workload.call(); !status.ok()) return status;
  }
  return (seconds_now() - start) / static_cast<double>(calls);
}

double quantile(const std::vector<double>& sorted, double part) {
  const double place = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75)};
}

Result<Bencher> Bencher::make(const Roofline& roofline, const Timing& timing) {
  const Result<PeakProbe> probe = find_probe(roofline.backend, roofline.dtype);
  if (!probe.ok()) return probe.status();
  return Bencher(roofline, probe.value(), timing);
}

Bencher::Bencher(const Roofline& roofline, const PeakProbe& probe, const Timing& timing)
    : roofline_(roofline),
      timing_(timing),
      peak_(probe, roofline.threads),
      memory_(uncached_bytes(), roofline.threads) {
  memory_.choose_loop(2);
}

Roofline Bencher::roofline_of(const BenchCase& one) {
  Roofline roofline = roofline_;
  if (!one.cold) {
    caches_.emplace(one.kv_bytes(), roofline_.threads);
    roofline.bandwidth = caches_->choose_loop(4);
  }
  return roofline;
}

Result<BenchRow> Bencher::measure(const BenchCase& one, Workload& workload) {
  if (Status status = workload.plan(roofline_.backend.c_str(), roofline_.threads); !status.ok()) return status;
  BenchRow row;
  row.one = one;
  row.work = work_of(one);
  row.copies = workload.copies();
  const Roofline roofline = roofline_of(one);
  row.bound = bound_time(roofline, row.work.flop, row.work.bytes).bound;
  const ReadMeter& reader = one.cold ? memory_ : *caches_;

  Result<double> once = time_calls(workload, 1);
  if (once.ok()) once = time_calls(workload, 1);
  if (!once.ok()) return once.status();
  const auto calls = static_cast<int64_t>(std::ceil(kShortestSample / once.value()));

  std::vector<double> seconds;
  std::vector<double> ceilings;
  std::vector<double> shares;
  std::vector<double> peak_fractions;
  const double start = seconds_now();
  while (static_cast<int>(seconds.size()) < timing_.repetitions) {
    if (static_cast<int>(seconds.size()) >= kFewestRepetitions && seconds_now() - start > timing_.seconds) break;
    if (row.bound == Bound::compute) {
      const PeakMeter::Sample peak = peak_.measure();
      ceilings.push_back(peak.flops);
      peak_fractions.push_back(peak.flops / (roofline_.threads * roofline_.flop_per_clock * peak.clock_hz));
    } else {
      ceilings.push_back(reader.measure());
      peak_fractions.push_back(roofline_.peak_fraction());
    }
    if (!one.cold) {
      // The meter has just read other memory.
      if (Status status = workload.call(); !status.ok()) return status;
    }
    const Result<double> taken = time_calls(workload, calls);
    if (!taken.ok()) return taken.status();
    seconds.push_back(taken.value());
    shares.push_back((row.bound == Bound::compute ? row.work.flop : row.work.bytes) /
                     (ceilings.back() * taken.value()));
  }
  row.repetitions = static_cast<int>(seconds.size());
  row.seconds = spread_of(seconds);
  row.ceiling = spread_of(ceilings);
  if (roofline_.own_cores() && is_credible(spread_of(peak_fractions).median)) row.share = spread_of(shares);
  return row;
}

}  // namespace flash_mla::cli
