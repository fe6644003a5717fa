// Text of messages.
#pragma once

#include <fmt/core.h>

#include <string>

namespace emulator {

/// fmt::vformat, compiled in one place: the header-only form of fmt takes seconds in every file that includes it.
std::string format_arguments(fmt::string_view format, fmt::format_args arguments);

template <class... Args>
std::string format(fmt::format_string<Args...> text, Args&&... args) {
  return format_arguments(text, fmt::make_format_args(args...));
}

}  // namespace emulator
