// Runs the built command and keeps what it says.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace flash_mla {

struct CommandResult {
  int exit_code = -1;  ///< -1: it did not end by itself
  std::string out;
  std::string err;
};

/// `flash_mla <arguments>`, through the shell; `prefix` stands before it ("timeout 5", "VAR=value").
CommandResult run_command(const std::string& arguments, const std::string& prefix = {});

nlohmann::json read_json(const std::filesystem::path& path);

/// A folder of its own for a test, removed with its contents.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// Writes a file and returns its path.
  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace flash_mla
