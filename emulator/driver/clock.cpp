#include "driver/clock.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <utility>

namespace emulator::driver {
namespace {

std::string setting(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

uint32_t number(const char* name, uint32_t otherwise) {
  const std::string value = setting(name);
  return value.empty() ? otherwise : static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
}

}  // namespace

ClockFile::ClockFile()
    : path_(setting("FLASH_MLA_EMULATOR_CLOCK")),
      timeline_path_(setting("FLASH_MLA_EMULATOR_CLOCK_TIMELINE")),
      arithmetic_(setting("FLASH_MLA_EMULATOR_CLOCK_ARITHMETIC") != "0"),
      timeline_cta_(number("FLASH_MLA_EMULATOR_CLOCK_CTA", 0)) {
  if (path_.empty()) return;
  clock::Parameters parameters;
  parameters.sms = std::max(1u, number("FLASH_MLA_EMULATOR_CLOCK_SMS", parameters.sms));
  parameters.l2_starts_dirty = setting("FLASH_MLA_EMULATOR_CLOCK_L2") != "clean";
  const uint32_t seeds = std::max(1u, number("FLASH_MLA_EMULATOR_CLOCK_SEEDS", 1));
  study_.emplace(parameters, seeds, setting("FLASH_MLA_EMULATOR_CLOCK_INTERVAL") != "0");
}

ClockFile::~ClockFile() {
  try {
    flush();
  } catch (...) {
    std::cerr << "flash_mla emulator: no memory for the clock's last figures\n";
  }
}

std::unique_ptr<clock::Tracer> ClockFile::tracer(const machine::Program& program,
                                                 const machine::LaunchShape& shape) const {
  return path_.empty() ? nullptr : std::make_unique<clock::Tracer>(program, shape);
}

void ClockFile::add(clock::Tracer& tracer) {
  clock::LaunchTrace trace = tracer.take();
  if (!trace.shape.dependent) flush();
  trace.is_programmatic = trace.shape.dependent && !launches_.empty();
  launches_.push_back(std::move(trace));
}

void ClockFile::flush() {
  if (launches_.empty()) return;
  std::vector<const clock::LaunchTrace*> traces;
  for (const clock::LaunchTrace& trace : launches_) traces.push_back(&trace);
  clock::Timeline timeline;
  timeline.cta = timeline_cta_;
  auto replayed = study_->replay(traces, timeline_path_.empty() ? nullptr : &timeline);
  if (const auto* const why = std::get_if<std::string>(&replayed)) {
    std::cerr << "flash_mla emulator: clock: " << *why << "\n";
  } else {
    const auto& studied = std::get<std::vector<clock::StudiedLaunch>>(replayed);
    std::ofstream file(path_, std::ios::app);
    std::vector<clock::LaunchFigures> figures;
    for (size_t i = 0; i < studied.size(); ++i) {
      file << clock::json_of(studied[i], launches_[i], written_++) << "\n";
      figures.push_back(studied[i].centre);
    }
    if (!timeline_path_.empty()) std::ofstream(timeline_path_, std::ios::app) << clock::json_of(timeline, figures);
  }
  launches_.clear();
}

}  // namespace emulator::driver
