#include "machine/coverage.h"

#include <algorithm>

namespace emulator::machine {

void Coverage::add(const Program& program, const std::vector<uint64_t>& executions) {
  // The last op is the decoder's own exit.
  const size_t count = program.ops.empty() ? 0 : program.ops.size() - 1;
  for (size_t i = 0; i < count; ++i) {
    const bool ran = i < executions.size() && executions[i] != 0;
    ++instructions_.all;
    instructions_.ran += ran ? 1 : 0;
    const ptx::SourceLine& source = program.sources[i];
    if (source.line == 0 || source.file >= program.files.size()) continue;
    lines_[{program.files[source.file], source.line}] |= ran;
  }
}

Coverage::Share Coverage::lines() const {
  const auto ran = std::count_if(lines_.begin(), lines_.end(), [](const auto& line) { return line.second; });
  return {static_cast<uint64_t>(ran), lines_.size()};
}

std::vector<Coverage::Line> Coverage::lines_not_run() const {
  std::vector<Line> missing;
  for (const auto& [line, ran] : lines_) {
    if (!ran) missing.push_back(line);
  }
  return missing;
}

}  // namespace emulator::machine
