#define FMT_HEADER_ONLY 1
#include "support/format.h"

#include <fmt/format.h>

namespace emulator {

std::string format_arguments(fmt::string_view format, fmt::format_args arguments) {
  return fmt::vformat(format, arguments);
}

}  // namespace emulator
