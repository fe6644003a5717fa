#include "bench/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/peak_meter.h"
#include "bench/read_meter.h"
#include "bench/team.h"
#include "common/verb.h"
#include "flash_mla/backend.h"
#include "flash_mla/executor.h"

namespace flash_mla::cli {
namespace {

PeakMeter::Sample best_of(const PeakMeter& meter, int repetitions) {
  PeakMeter::Sample best;
  for (int i = 0; i < repetitions; ++i) {
    const PeakMeter::Sample sample = meter.measure();
    best.flops = std::max(best.flops, sample.flops);
    best.clock_hz = std::max(best.clock_hz, sample.clock_hz);
  }
  return best;
}

double nearest_power_of_two(double value) {
  return value > 0 ? std::exp2(std::round(std::log2(value))) : 0;
}

void measure_peak(const PeakProbe& probe, Roofline& roofline) {
  constexpr int kRepetitions = 12;
  constexpr int kAttempts = 3;  // a busy neighbour can spoil one
  const PeakMeter alone(probe, 1);
  const PeakMeter together(probe, roofline.threads);
  PeakMeter::Sample single;
  PeakMeter::Sample all;
  for (int attempt = 0; attempt < kAttempts && !roofline.credible(); ++attempt) {
    single = best_of(alone, kRepetitions);
    all = best_of(together, kRepetitions);
    roofline.single_flops = std::max(roofline.single_flops, single.flops);
    roofline.peak_flops = std::max(roofline.peak_flops, all.flops);
    roofline.clock_hz = std::max(roofline.clock_hz, all.clock_hz);
    roofline.flop_per_clock = single.clock_hz > 0 ? nearest_power_of_two(roofline.single_flops / single.clock_hz) : 0;
  }
}

}  // namespace

double Roofline::peak_fraction() const {
  const double promised = threads * flop_per_clock * clock_hz;
  return promised > 0 ? peak_flops / promised : 0;
}

double Roofline::scaling() const {
  return single_flops > 0 ? peak_flops / (threads * single_flops) : 0;
}

Result<Roofline> measure_roofline(std::string_view backend, DType dtype, int threads) {
  const Result<BackendInfo> info = find_processor_backend(backend);
  if (!info.ok()) return info.status();
  const Result<PeakProbe> probe = find_probe(info.value().name, dtype);
  if (!probe.ok()) return probe.status();

  Roofline roofline;
  roofline.backend = info.value().name;
  roofline.dtype = dtype;
  roofline.threads = threads > 0 ? threads : default_num_workers();
  roofline.instruction = probe.value().instruction;
  roofline.least_flop_per_clock = probe.value().least_flop_per_clock;
  if (const int given = team_size(roofline.threads); given != roofline.threads) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("threads: {} asked for, but OpenMP gives {} (OMP_THREAD_LIMIT, OMP_DYNAMIC)",
                              roofline.threads, given));
  }
  measure_peak(probe.value(), roofline);
  ReadMeter reader(uncached_bytes(), roofline.threads);
  roofline.bandwidth = reader.choose_loop(4);
  roofline.bandwidth_loop = reader.loop();
  return roofline;
}

Json to_json(const Roofline& roofline) {
  return {{"backend", roofline.backend},
          {"dtype", flash_mla::name_of(roofline.dtype)},
          {"threads", roofline.threads},
          {"instruction", roofline.instruction},
          {"peak_gflops", roofline.peak_flops * 1e-9},
          {"single_gflops", roofline.single_flops * 1e-9},
          {"flop_per_clock", roofline.flop_per_clock},
          {"clock_ghz", roofline.clock_hz * 1e-9},
          {"peak_fraction", roofline.peak_fraction()},
          {"scaling", roofline.scaling()},
          {"credible", roofline.credible()},
          {"bandwidth_gbps", roofline.bandwidth * 1e-9},
          {"bandwidth_loop", roofline.bandwidth_loop}};
}

const char* name_of(Bound bound) {
  return bound == Bound::compute ? "compute" : "memory";
}

RooflineTime bound_time(const Roofline& roofline, double flop, double bytes) {
  const double compute = flop / roofline.peak_flops;
  const double memory = bytes / roofline.bandwidth;
  return compute >= memory ? RooflineTime{compute, Bound::compute} : RooflineTime{memory, Bound::memory};
}

}  // namespace flash_mla::cli
