#include "common/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/machine.h"
#include "flash_mla/version.h"

namespace flash_mla::cli {
namespace {

Status cannot_write(const std::string& path) {
  return {StatusCode::io_error, fmt::format("cannot write '{}': {}", path, std::strerror(errno))};
}

/// Beside the file, so that renaming it over the file is one step.
std::string temporary_path(const std::string& path) {
  return fmt::format("{}.{}.tmp", path, getpid());
}

}  // namespace

Json report_head(std::string_view command) {
  return {{"command", command}, {"version", version()}, {"machine", to_json(this_machine())}};
}

Status write_json(const std::string& path, const Json& json) {
  std::string temporary = temporary_path(path);
  errno = 0;
  std::ofstream file(temporary);
  file << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  file.close();
  if (file && (temporary == path || std::rename(temporary.c_str(), path.c_str()) == 0)) return {};
  Status failure = cannot_write(path);
  if (temporary != path) std::remove(temporary.c_str());
  return failure;
}

Status check_writable(const std::string& path) {
  std::string temporary = temporary_path(path);
  errno = 0;
  if (!std::ofstream(temporary)) return cannot_write(path);
  if (temporary != path) std::remove(temporary.c_str());
  return {};
}

}  // namespace flash_mla::cli
