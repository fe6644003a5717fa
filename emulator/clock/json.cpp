// Figures as JSON.
#include "clock/study.h"
#include "support/format.h"

namespace emulator::clock {
namespace {

/// As a JSON string.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

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
