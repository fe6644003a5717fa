// What a tokenizer is made of: read from tokenizer.json, used to encode.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flash_mla/status.h"
#include "text/bpe.h"
#include "text/pattern.h"

namespace flash_mla::runtime {

/// A token that is looked for in the text before anything else.
struct AddedToken {
  std::string content;
  int32_t token = 0;
  bool special = false;
  bool left_strip = false, right_strip = false;  ///< takes white space beside it
  bool single_word = false;                      ///< only where no letter is beside it
  bool normalised = false;                       ///< is looked for after normalisation
};

/// One step of cutting a text into words.
struct PreTokenizer {
  std::optional<Pattern> pattern;  ///< absent: nothing is cut
  bool add_space = false;          ///< before every piece that begins without one
};

struct TokenizerParts {
  bool nfc = false;
  std::vector<AddedToken> added;
  std::vector<PreTokenizer> cuts;
  Bpe bpe;
  std::vector<int32_t> before, after;  ///< what the template puts around a text
  std::vector<std::string> bytes;      ///< of each token
  std::vector<bool> special;
};

/// Errors: invalid_argument, unsupported.
Status parse_tokenizer(std::string_view text, std::string_view source, TokenizerParts& parts);

}  // namespace flash_mla::runtime
