#include "text/utf8.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace flash_mla::runtime {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

struct Scan {
  size_t taken = 0;  ///< bytes of a character, or of the longest beginning of one; at least 1
  bool valid = false;
  bool unfinished = false;  ///< the text ends before the character does
};

/// The first character of a text that is not empty. Table 3-7 of the Unicode standard.
Scan scan(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {1, true, false};
  if (lead < 0xc2 || lead > 0xf4) return {1, false, false};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const uint8_t most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {i, false, true};
    const bool fits = i == 1 ? byte(i) >= least && byte(i) <= most : (byte(i) & 0xc0) == 0x80;
    if (!fits) return {i, false, false};
  }
  return {length, true, false};
}

/// Repairs all of the text; a character that the text's end cuts stays in `waiting` if that is wanted.
std::string repair(std::string_view text, std::string* waiting) {
  std::string repaired;
  while (!text.empty()) {
    const Scan first = scan(text);
    if (first.unfinished && waiting != nullptr) {
      *waiting = text;
      return repaired;
    }
    repaired += first.valid ? text.substr(0, first.taken) : kReplacement;
    text.remove_prefix(first.taken);
  }
  return repaired;
}

}  // namespace

size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const Scan first = scan(text);
  return first.valid ? first.taken : 0;
}

std::string repair_utf8(std::string_view text) {
  return repair(text, nullptr);
}

std::string Utf8Stream::push(std::string_view bytes) {
  const std::string all = std::exchange(waiting_, {}).append(bytes);
  return repair(all, &waiting_);
}

std::string Utf8Stream::finish() {
  return repair(std::exchange(waiting_, {}), nullptr);
}

}  // namespace flash_mla::runtime
