// The mutations that nothing finds, with the reasons why that is as it should be.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mutation/mutation.h"

namespace flash_mla::test {

/// Where an instruction comes from: the innermost line of src/sm90, not of a wrapper, as its text, so that a list of
/// them outlives changes elsewhere in the file.
struct Origin {
  std::string file;  // from the root of the sources: "src/sm90/decode.cuh"
  uint32_t line = 0;
  std::string text;  // without indentation
};

/// Reads source lines under `root`.
class Sources {
 public:
  explicit Sources(std::string root) : root_(std::move(root)) {}
  Origin origin_of(const emulator::ptx::Module& module, const emulator::ptx::Instruction& instruction);

 private:
  const std::vector<std::string>& lines_of(const std::string& file);

  std::string root_;
  std::map<std::string, std::vector<std::string>> files_;
};

/// A file of lines "mutation<tab>opcode<tab>file<tab>source line<tab>reason"; '#' begins a comment. An opcode's
/// suffixes that are left out may be any.
class KnownSurvivors {
 public:
  /// Throws std::runtime_error, naming the line, where the file is not like that.
  explicit KnownSurvivors(const std::string& path);

  /// Null: not known.
  const std::string* reason(Mutation::Kind kind, const std::string& opcode, const Origin& origin);
  /// Entries that were not asked for since: nothing survived that they speak of.
  [[nodiscard]] std::vector<std::string> unused() const;

 private:
  struct Entry {
    std::string kind, opcode, file, text, reason;
    bool used = false;
  };
  std::vector<Entry> entries_;
};

}  // namespace flash_mla::test
