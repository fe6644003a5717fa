// Errors are values: Status says what went wrong, Result<T> is a T or a Status.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "flash_mla/export.h"

namespace flash_mla {

enum class StatusCode : int32_t {
  ok = 0,
  invalid_argument = 1,  ///< an argument breaks the contract; the message names it, its value and what is allowed
  plan_mismatch = 2,     ///< the plan was made for other shapes or other lengths than this call's
  unsupported = 3,       ///< legal, but not on this machine or in this build
  out_of_pages = 4,      ///< the page pool cannot serve the request
  not_found = 5,         ///< unknown name or id
  io_error = 6,          ///< a file could not be read or written
  corrupt = 9,           ///< a KV cache whose books are wrong; it serves no more
  device_error = 10,     ///< a call of the CUDA driver failed; the message names it and says why
};

/// The result of a call that returns nothing else. A success holds no memory, so returning it never allocates.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] bool ok() const { return code_ == StatusCode::ok; }
  [[nodiscard]] StatusCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::ok;
  std::string message_;
};

/// A value or the Status that explains its absence. Reading the value of a failed Result is a programming error
/// (std::bad_variant_access).
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : state_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return std::holds_alternative<T>(state_); }
  [[nodiscard]] Status status() const { return ok() ? Status{} : std::get<Status>(state_); }
  [[nodiscard]] T& value() & { return std::get<T>(state_); }
  [[nodiscard]] const T& value() const& { return std::get<T>(state_); }
  [[nodiscard]] T&& value() && { return std::get<T>(std::move(state_)); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace flash_mla
