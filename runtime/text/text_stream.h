// Text as it is generated: whole characters only, up to the first stop string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/utf8.h"

namespace flash_mla::runtime {

class TextStream {
 public:
  /// Empty stop strings are ignored.
  explicit TextStream(std::vector<std::string> stops);

  /// The text that a token's bytes make certain; what may be the beginning of a stop string waits.
  std::string push(std::string_view bytes);
  /// What waits, when no more tokens come.
  std::string finish();
  /// A stop string has come; it and what followed it are not text.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  std::string release();

  std::vector<std::string> stops_;
  Utf8Stream characters_;
  std::string waiting_;
  bool stopped_ = false;
};

}  // namespace flash_mla::runtime
