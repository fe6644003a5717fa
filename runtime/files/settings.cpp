#include "files/settings.h"

#include <cmath>

#include "common/error.h"
#include "files/mapped_file.h"

namespace flash_mla::runtime {
namespace {

constexpr size_t kLargestFile = 16 << 20;

std::string shown(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Result<Settings> Settings::read(const std::string& path) {
  const Result<std::string> text = read_text(path, kLargestFile);
  if (!text.ok()) return text.status();
  nlohmann::json object = nlohmann::json::parse(text.value(), nullptr, false);
  if (!object.is_object()) return invalid("{}: is not a JSON object", path);
  return Settings(path, std::move(object));
}

const nlohmann::json* Settings::find(std::string_view key) const {
  const auto value = object_.find(key);
  return value == object_.end() || value->is_null() ? nullptr : &*value;
}

int64_t Settings::count(std::string_view key, int64_t least, int64_t most) {
  const nlohmann::json* value = find(key);
  if (value != nullptr && value->is_number_integer() && *value >= least && *value <= most) return value->get<int64_t>();
  fail(key, value, fmt::format("an integer of {} to {}", least, most));
  return least;
}

int64_t Settings::count_or(std::string_view key, int64_t absent, int64_t least, int64_t most) {
  return has(key) ? count(key, least, most) : absent;
}

double Settings::positive(std::string_view key) {
  const nlohmann::json* value = find(key);
  if (value != nullptr && value->is_number() && std::isfinite(value->get<double>()) && value->get<double>() > 0) {
    return value->get<double>();
  }
  fail(key, value, "a number above 0");
  return 1;
}

double Settings::positive_or(std::string_view key, double absent) {
  return has(key) ? positive(key) : absent;
}

bool Settings::flag(std::string_view key, bool absent) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) fail(key, value, "true or false");
  return value->is_boolean() && value->get<bool>();
}

std::string Settings::text(std::string_view key, std::string_view absent) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::string(absent);
  if (!value->is_string()) fail(key, value, "text");
  return value->is_string() ? value->get<std::string>() : std::string();
}

Settings Settings::part(std::string_view key) {
  const nlohmann::json* value = find(key);
  if (value != nullptr && !value->is_object()) fail(key, value, "an object");
  return {fmt::format("{}: {}", source_, key),
          value != nullptr && value->is_object() ? *value : nlohmann::json::object()};
}

void Settings::fail(std::string_view message) {
  if (status_.ok()) status_ = invalid("{}: {}", source_, message);
}

void Settings::fail(std::string_view key, const nlohmann::json* value, std::string_view allowed) {
  fail(value == nullptr ? fmt::format("{} is missing: must be {}", key, allowed)
                        : fmt::format("{} is {}: must be {}", key, shown(*value), allowed));
}

void Settings::take_error(const Settings& part) {
  if (status_.ok()) status_ = part.status();
}

}  // namespace flash_mla::runtime
