// Builds the Status of a refused call.
#pragma once

#include <fmt/core.h>

#include <string>

#include "flash_mla/status.h"

namespace flash_mla::core {

/// fmt::vformat, compiled in one place: the header-only form of fmt takes seconds in every file that includes it.
std::string format_arguments(fmt::string_view format, fmt::format_args arguments);

template <class... Args>
std::string format(fmt::format_string<Args...> text, Args&&... args) {
  return format_arguments(text, fmt::make_format_args(args...));
}

template <class... Args>
Status error(StatusCode code, fmt::format_string<Args...> text, Args&&... args) {
  return {code, format_arguments(text, fmt::make_format_args(args...))};
}

template <class... Args>
Status invalid(fmt::format_string<Args...> text, Args&&... args) {
  return {StatusCode::invalid_argument, format_arguments(text, fmt::make_format_args(args...))};
}

}  // namespace flash_mla::core

#define FLASH_MLA_RETURN_IF_ERROR(expression)          \
  do {                                                 \
    ::flash_mla::Status status_of_call = (expression); \
    if (!status_of_call.ok()) return status_of_call;   \
  } while (false)
