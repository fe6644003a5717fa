// Builds the Status of a refused call.
#pragma once

#include <fmt/format.h>

#include "flash_mla/status.h"

namespace flash_mla::core {

template <class... Args>
Status error(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return {code, fmt::format(format, std::forward<Args>(args)...)};
}

template <class... Args>
Status invalid(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::invalid_argument, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace flash_mla::core

#define FLASH_MLA_RETURN_IF_ERROR(expression)          \
  do {                                                 \
    ::flash_mla::Status status_of_call = (expression); \
    if (!status_of_call.ok()) return status_of_call;   \
  } while (false)
