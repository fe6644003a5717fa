// GPT-2's alphabet of 256 printable characters, one a byte (Radford et al., 2019), which byte-level vocabularies are
// written in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flash_mla::runtime {

/// The character of a byte, as UTF-8.
std::string_view byte_level_character(uint8_t byte);
/// The bytes that a token of such a vocabulary stands for. A token with any other character stands for itself.
std::string byte_level_bytes(std::string_view token);

}  // namespace flash_mla::runtime
