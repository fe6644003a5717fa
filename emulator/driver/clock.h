// Model figures of launches, for programs that run on the stand-in.
#pragma once

#include <memory>
#include <optional>

#include "clock/study.h"
#include "clock/tracer.h"

namespace emulator::driver {

/// Traces launches and writes what the clock makes of them, if FLASH_MLA_EMULATOR_CLOCK names a file.
class ClockFile {
 public:
  ClockFile();
  ~ClockFile();
  ClockFile(const ClockFile&) = delete;
  ClockFile& operator=(const ClockFile&) = delete;

  /// Null: nobody asks for figures.
  std::unique_ptr<clock::Tracer> tracer(const machine::Program& program, const machine::LaunchShape& shape) const;
  void add(clock::Tracer& tracer);
  [[nodiscard]] bool arithmetic() const { return arithmetic_; }

 private:
  void flush();

  std::string path_, timeline_path_;
  bool arithmetic_ = true;
  uint32_t timeline_cta_ = 0;
  std::optional<clock::Study> study_;
  std::vector<clock::LaunchTrace> launches_;  // that a programmatic one may still overlap with
  uint64_t written_ = 0;
};

}  // namespace emulator::driver
