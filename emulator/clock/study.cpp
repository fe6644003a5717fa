#include "clock/study.h"

#include <algorithm>
#include <numeric>

#include "support/format.h"

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

/// As a JSON string.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
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

std::string json_of(const StudiedLaunch& studied, const LaunchTrace& trace, uint64_t number) {
  const LaunchFigures& f = studied.centre;
  std::string text = format(R"({{"launch": {}, "kernel": {}, "grid": [{}, {}, {}], "cluster": [{}, {}, {}], )", number,
                            quoted(f.kernel), trace.shape.grid[0], trace.shape.grid[1], trace.shape.grid[2],
                            trace.shape.cluster[0], trace.shape.cluster[1], trace.shape.cluster[2]);
  text += format(R"("model_seconds": {:.9f}, "least": {:.9f}, "most": {:.9f}, )", studied.mean("centre"),
                 studied.least(), studied.most());
  text += format(R"("instructions": {}, "l2_bytes": {:.0f}, "hbm_bytes": {:.0f}, )", f.instructions, f.l2_bytes,
                 f.hbm_bytes);
  text += format(
      R"("busy": {{"tensor": {:.4f}, "shared": {:.4f}, "issue": {:.4f}, "transcendental": {:.4f}, "l2": {:.4f}, "hbm": {:.4f}}}, )",
      f.tensor, f.shared, f.issue, f.transcendental, f.l2, f.hbm);
  text += R"("waits": {)";
  for (size_t i = 0; i < kStalls; ++i)
    text += format(R"({}"{}": {:.4f})", i == 0 ? "" : ", ", name_of(static_cast<Stall>(i)), f.stalls[i]);
  text += R"(}, "waits_at": [)";
  for (size_t i = 0; i < f.hot_spots.size(); ++i) {
    const HotSpot& spot = f.hot_spots[i];
    text += format(R"({}[{}, "{}", {:.4f}])", i == 0 ? "" : ", ", quoted(spot.place), name_of(spot.stall), spot.share);
  }
  text += R"(], "variants": {)";
  bool first = true;
  for (const auto& [name, times] : studied.seconds) {
    text += format(R"({}"{}": [)", first ? "" : ", ", name);
    first = false;
    for (size_t i = 0; i < times.size(); ++i) text += format("{}{:.9f}", i == 0 ? "" : ", ", times[i]);
    text += "]";
  }
  return text + "}}";
}

std::string json_of(const Timeline& timeline, const std::vector<LaunchFigures>& launches) {
  std::string text = R"({"launches": [)";
  for (size_t i = 0; i < launches.size(); ++i) {
    text += format(R"({}{{"kernel": {}, "begin": {:.0f}, "end": {:.0f}}})", i == 0 ? "" : ", ",
                   quoted(launches[i].kernel), launches[i].begin, launches[i].end);
  }
  text += R"(], "waits": [)";
  for (size_t i = 0; i < timeline.stalls.size(); ++i) {
    const Timeline::Span& span = timeline.stalls[i];
    text += format(R"({}[{}, {}, {}, "{}", {:.0f}, {:.0f}])", i == 0 ? "" : ", ", span.launch, span.cta, span.warp,
                   name_of(span.stall), span.from, span.to);
  }
  const auto add = [&](const char* name, const std::vector<Timeline::Work>& works) {
    text += format(R"(], "{}": [)", name);
    for (size_t i = 0; i < works.size(); ++i) {
      const Timeline::Work& work = works[i];
      text += format("{}[{}, {}, {}, {:.0f}, {:.0f}]", i == 0 ? "" : ", ", work.launch, work.cta, work.who, work.from,
                     work.to);
    }
  };
  add("tensor", timeline.tensor);
  add("copies", timeline.copies);
  return text + "]}\n";
}

}  // namespace emulator::clock
