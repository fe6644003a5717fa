#include "text/byte_level.h"

#include <array>
#include <map>

#include "text/utf8.h"

namespace flash_mla::runtime {
namespace {

struct Alphabet {
  std::array<std::string, 256> characters;
  std::map<std::string, uint8_t, std::less<>> bytes;

  Alphabet() {
    uint32_t next = 256;  // bytes that do not print get the characters from here on
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      const uint32_t code = prints ? byte : next++;
      std::string& character = characters[byte];
      if (code < 0x80) {
        character = static_cast<char>(code);
      } else {
        character = {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
      }
      bytes.emplace(character, static_cast<uint8_t>(byte));
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet only;
  return only;
}

}  // namespace

std::string_view byte_level_character(uint8_t byte) {
  return alphabet().characters[byte];
}

std::string byte_level_bytes(std::string_view token) {
  std::string bytes;
  for (std::string_view rest = token; !rest.empty();) {
    const size_t length = utf8_length(rest);
    const auto found = alphabet().bytes.find(rest.substr(0, length));
    if (length == 0 || found == alphabet().bytes.end()) return std::string(token);
    bytes += static_cast<char>(found->second);
    rest.remove_prefix(length);
  }
  return bytes;
}

}  // namespace flash_mla::runtime
