#include "mutation/survivors.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace flash_mla::test {
namespace {

std::string trimmed(const std::string& line) {
  const size_t first = line.find_first_not_of(" \t"), last = line.find_last_not_of(" \t\r");
  return first == std::string::npos ? "" : line.substr(first, last - first + 1);
}

/// "src/..." of a path that the compiler was given.
std::string in_sources(const std::string& path) {
  const size_t at = path.rfind("/src/");
  return at == std::string::npos ? path : path.substr(at + 1);
}

}  // namespace

const std::vector<std::string>& Sources::lines_of(const std::string& file) {
  const auto [known, is_new] = files_.try_emplace(file);
  if (is_new) {
    std::ifstream in(root_ + "/" + file);
    for (std::string line; std::getline(in, line);) known->second.push_back(trimmed(line));
  }
  return known->second;
}

Origin Sources::origin_of(const emulator::ptx::Module& module, const emulator::ptx::Instruction& instruction) {
  emulator::ptx::SourceLine at = instruction.source;
  const auto file_of = [&](const emulator::ptx::SourceLine& line) {
    return line.file < module.files.size() ? in_sources(module.files[line.file]) : std::string();
  };
  while (at.caller != 0 && !file_of(at).starts_with("src/sm90/")) at = module.callers[at.caller];
  Origin origin{file_of(at), at.line, ""};
  const std::vector<std::string>& lines = lines_of(origin.file);
  if (at.line >= 1 && at.line <= lines.size()) origin.text = lines[at.line - 1];
  return origin;
}

KnownSurvivors::KnownSurvivors(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    std::array<std::string, 5> fields;
    std::istringstream rest(line);
    for (std::string& field : fields) std::getline(rest, field, '\t');
    if (std::ranges::any_of(fields, [](const std::string& field) { return field.empty(); })) {
      throw std::runtime_error(path + ":" + std::to_string(number) +
                               ": mutation, opcode, file, source line and reason are expected, with tabs between them");
    }
    entries_.push_back({fields[0], fields[1], fields[2], fields[3], fields[4]});
  }
}

const std::string* KnownSurvivors::reason(Mutation::Kind kind, const std::string& opcode, const Origin& origin) {
  for (Entry& entry : entries_) {
    const bool same_opcode = opcode.starts_with(entry.opcode) &&
                             (opcode.size() == entry.opcode.size() || opcode[entry.opcode.size()] == '.');
    if (entry.kind != name_of(kind) || !same_opcode || entry.file != origin.file || entry.text != origin.text) continue;
    entry.used = true;
    return &entry.reason;
  }
  return nullptr;
}

std::vector<std::string> KnownSurvivors::unused() const {
  std::vector<std::string> all;
  for (const Entry& entry : entries_) {
    if (!entry.used) all.push_back(entry.kind + " " + entry.opcode + " of " + entry.file + ": " + entry.text);
  }
  return all;
}

}  // namespace flash_mla::test
