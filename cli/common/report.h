// What every verb's JSON file has in common, and writing it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "flash_mla/status.h"

namespace flash_mla::cli {

using Json = nlohmann::ordered_json;

/// {"command", "version", "machine"}: the start of a verb's JSON object.
Json report_head(std::string_view command);

/// Writes `json`, indented, to `path`, all or nothing (a temporary file beside it is renamed). NaN and infinities
/// become null. Errors: io_error.
Status write_json(const std::string& path, const Json& json);

/// Whether a file can be made at `path`: asked before a long run, so that the run is not lost. Errors: io_error.
Status check_writable(const std::string& path);

}  // namespace flash_mla::cli
