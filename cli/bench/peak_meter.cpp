#include "bench/peak_meter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/core_clock.h"
#include "bench/team.h"

namespace flash_mla::cli {
namespace {

/// Iterations of `work` that take about `seconds` on one thread.
template <class Work>
int64_t calibrate(double seconds, const Work& work) {
  int64_t iterations = 1024;
  for (;;) {
    const double taken = time_team(1, [&](int) { work(iterations); });
    if (taken > seconds / 8)
      return std::max<int64_t>(1, std::llround(static_cast<double>(iterations) * seconds / taken));
    iterations *= 4;
  }
}

double clock_of_slowest(int threads, int64_t additions) {
  int64_t done = 0;
  const double seconds = time_team(threads, [&](int thread) {
    const int64_t mine = add_chain(additions);
    if (thread == 0) done = mine;
  });
  return static_cast<double>(done) / seconds;
}

}  // namespace

Result<PeakProbe> find_probe(std::string_view backend, DType dtype) {
  const bool dot = dtype == DType::bfloat16;
  PeakProbe probe;
  if (backend == "avx512_bf16") probe = dot ? probe_avx512_bf16() : probe_avx512();
  if (backend == "avx512") probe = probe_avx512();
  if (backend == "avx2") probe = probe_avx2();
  if (backend == "neon_bf16") probe = dot ? probe_neon_bf16() : probe_neon();
  if (backend == "neon") probe = probe_neon();
  if (backend == "scalar") probe = probe_scalar();
  if (probe.run == nullptr) {
    return Status(StatusCode::unsupported,
                  fmt::format("backend {}: this build has no peak measurement for it", backend));
  }
  return probe;
}

PeakMeter::PeakMeter(const PeakProbe& probe, int threads, double seconds) : probe_(probe), threads_(threads) {
  iterations_ = calibrate(seconds, probe_.run);
  additions_ = calibrate(seconds / 4, [](int64_t n) { add_chain(n); });
}

PeakMeter::Sample PeakMeter::measure() const {
  const double before = clock_of_slowest(threads_, additions_);
  const double seconds = time_team(threads_, [&](int) { probe_.run(iterations_); });
  const double after = clock_of_slowest(threads_, additions_);
  return {probe_.flop_per_iteration * static_cast<double>(iterations_) * threads_ / seconds, std::max(before, after)};
}

}  // namespace flash_mla::cli
