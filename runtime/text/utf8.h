// UTF-8, as far as text that may be broken needs it.
#pragma once

#include <string>
#include <string_view>

namespace flash_mla::runtime {

/// Bytes of the character that begins `text`; 0 if no character begins there.
size_t utf8_length(std::string_view text);

/// Replaces what is not UTF-8 by U+FFFD, one for each longest beginning of a character (Unicode 15, section 3.9), as
/// Rust and Python do it.
std::string repair_utf8(std::string_view text);

/// repair_utf8() of bytes that come in pieces: what a character's first bytes are waits for the rest.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes);
  /// What still waits.
  std::string finish();

 private:
  std::string waiting_;
};

}  // namespace flash_mla::runtime
