// Which instructions and source lines of a kernel ran.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "machine/program.h"

namespace emulator::machine {

/// Of one kernel or of several that share sources. A source line that was inlined many times is one line, which ran if
/// any of its instructions ran.
class Coverage {
 public:
  /// `executions`: Counters::executions of launches of `program`.
  void add(const Program& program, const std::vector<uint64_t>& executions);

  struct Share {
    uint64_t ran = 0, all = 0;
  };
  [[nodiscard]] Share instructions() const { return instructions_; }
  [[nodiscard]] Share lines() const;
  using Line = std::pair<std::string, uint32_t>;  // file and line
  [[nodiscard]] std::vector<Line> lines_not_run() const;

 private:
  Share instructions_;
  std::map<Line, bool> lines_;
};

}  // namespace emulator::machine
