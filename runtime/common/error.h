// Builds the Status of something that cannot be done.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "flash_mla/status.h"

namespace flash_mla::runtime {

template <class... Args>
Status invalid(fmt::format_string<Args...> text, Args&&... args) {
  return {StatusCode::invalid_argument, fmt::format(text, std::forward<Args>(args)...)};
}

template <class... Args>
Status unsupported(fmt::format_string<Args...> text, Args&&... args) {
  return {StatusCode::unsupported, fmt::format(text, std::forward<Args>(args)...)};
}

template <class... Args>
Status io_error(fmt::format_string<Args...> text, Args&&... args) {
  return {StatusCode::io_error, fmt::format(text, std::forward<Args>(args)...)};
}

}  // namespace flash_mla::runtime

#define FLASH_MLA_RUNTIME_TRY(expression)              \
  do {                                                 \
    ::flash_mla::Status status_of_call = (expression); \
    if (!status_of_call.ok()) return status_of_call;   \
  } while (false)
