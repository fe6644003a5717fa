#define FMT_HEADER_ONLY 1
#include "core/error.h"

#include <fmt/format.h>

namespace flash_mla::core {

std::string format_arguments(fmt::string_view format, fmt::format_args arguments) {
  return fmt::vformat(format, arguments);
}

}  // namespace flash_mla::core
