// A JSON object of settings, with errors that name the file and the key.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "flash_mla/status.h"

namespace flash_mla::runtime {

/// Keys are read one after another; the first error is kept, and what is read after it means nothing. A null is as
/// absent as no key.
class Settings {
 public:
  Settings(std::string source, nlohmann::json object) : source_(std::move(source)), object_(std::move(object)) {}
  /// Errors: io_error, invalid_argument (not a JSON object).
  static Result<Settings> read(const std::string& path);

  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const;
  /// A count of `least` to 2^20, unless `most` says otherwise.
  int64_t count(std::string_view key, int64_t least = 1, int64_t most = int64_t{1} << 20);
  int64_t count_or(std::string_view key, int64_t absent, int64_t least = 1, int64_t most = int64_t{1} << 20);
  double positive(std::string_view key);
  double positive_or(std::string_view key, double absent);
  bool flag(std::string_view key, bool absent);
  std::string text(std::string_view key, std::string_view absent);
  /// The object under a key; empty if absent. Its errors name the key before their own.
  Settings part(std::string_view key);

  void fail(std::string_view message);
  /// Takes over the first error of a part.
  void take_error(const Settings& part);
  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] const std::string& source() const { return source_; }

 private:
  void fail(std::string_view key, const nlohmann::json* value, std::string_view allowed);

  std::string source_;
  nlohmann::json object_;
  Status status_;
};

}  // namespace flash_mla::runtime
