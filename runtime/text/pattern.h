// Regular expressions that cut text into pieces, by PCRE2.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flash_mla/status.h"

namespace flash_mla::runtime {

class Pattern {
 public:
  /// `expression` in the syntax that tokenizer.json files use (Oniguruma's); `literal`: it is plain text. Errors:
  /// invalid_argument, with PCRE2's reason.
  static Result<Pattern> make(std::string_view expression, bool literal);

  /// Cuts UTF-8 text: every match is a piece, and so is what lies between two. Errors: invalid_argument (matching takes
  /// too many steps).
  Status split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  explicit Pattern(std::shared_ptr<const void> code) : code_(std::move(code)) {}
  std::shared_ptr<const void> code_;
};

}  // namespace flash_mla::runtime
