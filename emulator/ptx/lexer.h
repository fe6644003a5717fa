// PTX text to tokens (PTX ISA 9.0, section 4).
#pragma once

#include <cstdint>
#include <string_view>

#include "ptx/error.h"

namespace emulator::ptx {

struct Token {
  enum class Kind : uint8_t { end, word, directive, integer, real32, real64, text, punctuation };
  Kind kind = Kind::end;
  std::string_view text;  // word: with its dotted suffixes; directive: with its dot; text: without its quotes
  uint64_t value = 0;     // integer, or the bits of a floating-point literal
  uint32_t line = 1;

  [[nodiscard]] bool is(char c) const { return kind == Kind::punctuation && text[0] == c; }
  [[nodiscard]] bool is(std::string_view word) const {
    return (kind == Kind::word || kind == Kind::directive) && text == word;
  }
};

/// Tokens one at a time, over a text that outlives them. Throws Error.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Token next();

 private:
  [[nodiscard]] char at(size_t offset) const {
    return position_ + offset < text_.size() ? text_[position_ + offset] : '\0';
  }
  void skip_blank();
  Token number();
  Token word();
  Token quoted();
  Token take(Token::Kind kind, size_t length);
  [[noreturn]] void fail(std::string message) const;

  std::string_view text_;
  size_t position_ = 0;
  uint32_t line_ = 1;
};

}  // namespace emulator::ptx
