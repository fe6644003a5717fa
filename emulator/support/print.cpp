#include "support/print.h"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace emulator {
namespace {

constexpr size_t kLongestNumber = 512;

/// Runs the C library's own formatting; `specification` is one conversion.
template <class T>
std::string one(const std::string& specification, T value) {
  char buffer[kLongestNumber];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  const int size = std::snprintf(buffer, sizeof(buffer), specification.c_str(), value);
#pragma GCC diagnostic pop
  return {buffer, buffer + (size < 0 ? 0 : std::min<size_t>(static_cast<size_t>(size), sizeof(buffer) - 1))};
}

bool is_flag(char c) {
  return std::string_view("-+ #0123456789.*").find(c) != std::string_view::npos;
}

}  // namespace

std::string print_formatted(std::string_view format, const std::function<uint64_t(uint32_t)>& next,
                            const std::function<std::string(uint64_t)>& text) {
  std::string result;
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      result += format[at++];
      continue;
    }
    const size_t start = at++;
    std::string flags = "%";
    while (at < format.size() && is_flag(format[at])) {
      // Widths and precisions as arguments.
      flags += format[at] == '*' ? std::to_string(static_cast<int32_t>(next(4))) : std::string(1, format[at]);
      ++at;
    }
    bool is_long = false;
    for (; at < format.size() && std::string_view("hlLjzt").find(format[at]) != std::string_view::npos; ++at) {
      is_long |= format[at] != 'h';
    }
    const char conversion = at < format.size() ? format[at++] : '\0';
    switch (conversion) {
      case '%':
        result += '%';
        break;
      case 'd':
      case 'i':
        result += is_long ? one(flags + "lld", static_cast<long long>(next(8)))
                          : one(flags + "d", static_cast<int>(static_cast<uint32_t>(next(4))));
        break;
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        result += is_long ? one(flags + "ll" + conversion, static_cast<unsigned long long>(next(8)))
                          : one(flags + conversion, static_cast<unsigned>(next(4)));
        break;
      case 'c':
        result += one(flags + "c", static_cast<int>(static_cast<uint32_t>(next(4))));
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
      case 'a':
      case 'A':
        result += one(flags + conversion, std::bit_cast<double>(next(8)));
        break;
      case 'p':
        result += one("0x%llx", static_cast<unsigned long long>(next(8)));
        break;
      case 's':
        result += one(flags + "s", text(next(8)).c_str());
        break;
      default:
        result += format.substr(start, at - start);
    }
  }
  return result;
}

}  // namespace emulator
