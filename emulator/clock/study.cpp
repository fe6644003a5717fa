#include "clock/study.h"

#include <algorithm>
#include <numeric>

namespace emulator::clock {
namespace {

void set_l2(Parameters& p, bool high) {
  p.l2_bytes = high ? 5000 : 4000;
}
void set_hbm(Parameters& p, bool high) {
  p.hbm_bytes_per_second *= (high ? 0.95 : 0.90) / 0.93;
}
void set_barriers(Parameters& p, double factor) {
  for (double* const cost : {&p.barrier, &p.mbarrier, &p.wgmma_wait, &p.fence, &p.cluster_barrier}) *cost *= factor;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

std::vector<Variant> variants(const Parameters& centre) {
  std::vector<Variant> all{{"centre", centre}};
  const auto add = [&](const char* name, auto change) {
    all.push_back({name, centre});
    change(all.back().parameters);
  };
  add("l2_5000", [](Parameters& p) { set_l2(p, true); });
  add("hbm_0.90", [](Parameters& p) { set_hbm(p, false); });
  add("hbm_0.95", [](Parameters& p) { set_hbm(p, true); });
  add("barriers_0.5", [](Parameters& p) { set_barriers(p, 0.5); });
  add("barriers_1.5", [](Parameters& p) { set_barriers(p, 1.5); });
  add("fast", [](Parameters& p) {
    set_l2(p, true);
    set_hbm(p, true);
    set_barriers(p, 0.5);
  });
  add("slow", [](Parameters& p) {
    set_l2(p, false);
    set_hbm(p, false);
    set_barriers(p, 1.5);
  });
  return all;
}

double StudiedLaunch::mean(const std::string& variant) const {
  return mean_of(seconds.at(variant));
}
double StudiedLaunch::least() const {
  double value = mean("centre");
  for (const auto& [name, times] : seconds) value = std::min(value, mean_of(times));
  return value;
}
double StudiedLaunch::most() const {
  double value = mean("centre");
  for (const auto& [name, times] : seconds) value = std::max(value, mean_of(times));
  return value;
}

Study::Study(const Parameters& centre, uint32_t seeds, bool with_interval) {
  for (const Variant& variant : variants(centre)) {
    for (uint32_t seed = 1; seed <= seeds; ++seed) {
      Parameters parameters = variant.parameters;
      parameters.seed = seed;
      chips_.push_back({variant.name, Gpu(parameters)});
    }
    if (!with_interval) return;
  }
}

std::variant<std::vector<StudiedLaunch>, std::string> Study::replay(const std::vector<const LaunchTrace*>& launches,
                                                                    Timeline* timeline) {
  std::vector<StudiedLaunch> studied(launches.size());
  for (size_t i = 0; i < chips_.size(); ++i) {
    auto replayed = chips_[i].gpu.replay(launches, i == 0 ? timeline : nullptr);
    if (auto* const why = std::get_if<std::string>(&replayed)) return std::move(*why);
    const auto& figures = std::get<std::vector<LaunchFigures>>(replayed);
    for (size_t launch = 0; launch < figures.size(); ++launch) {
      if (i == 0) studied[launch].centre = figures[launch];
      studied[launch].seconds[chips_[i].variant].push_back(figures[launch].added_seconds);
    }
  }
  return studied;
}

}  // namespace emulator::clock
