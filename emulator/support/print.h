// printf's formatting with arguments that are fetched one by one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace emulator {

/// `next(size)`: the next argument's bits, of 4 or 8 bytes; `text(address)`: the characters that a %s means. What is no
/// conversion is copied as it is.
std::string print_formatted(std::string_view format, const std::function<uint64_t(uint32_t)>& next,
                            const std::function<std::string(uint64_t)>& text);

}  // namespace emulator
