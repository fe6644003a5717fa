#include "ptx/lexer.h"

#include <bit>
#include <cstdlib>
#include <string>
#include <utility>

#include "support/format.h"

namespace emulator::ptx {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%';
}
bool is_name(char c) {
  return is_name_start(c) || is_digit(c);
}
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void Lexer::fail(std::string message) const {
  throw Error{line_, std::move(message)};
}

Token Lexer::take(Token::Kind kind, size_t length) {
  Token token{kind, text_.substr(position_, length), 0, line_};
  position_ += length;
  return token;
}

void Lexer::skip_blank() {
  for (;;) {
    const char c = at(0);
    if (c == '\n') {
      ++line_;
      ++position_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++position_;
    } else if (c == '/' && at(1) == '/') {
      while (position_ < text_.size() && at(0) != '\n') ++position_;
    } else if (c == '/' && at(1) == '*') {
      const size_t end = text_.find("*/", position_ + 2);
      if (end == std::string_view::npos) fail("a comment is not closed");
      for (; position_ < end + 2; ++position_) line_ += at(0) == '\n';
    } else {
      return;
    }
  }
}

Token Lexer::next() {
  skip_blank();
  if (position_ >= text_.size()) return {Token::Kind::end, {}, 0, line_};
  const char c = at(0);
  if (is_digit(c)) return number();
  if (is_name_start(c) || (c == '.' && is_name_start(at(1)))) return word();
  if (c == '"') return quoted();
  if (std::string_view("{}()[]<>,;:+-!@|=~*/&^.").find(c) != std::string_view::npos && c != '\0') {
    return take(Token::Kind::punctuation, 1);
  }
  fail(format("unexpected character 0x{:02x}", static_cast<unsigned char>(c)));
}

Token Lexer::quoted() {
  const size_t end = text_.find_first_of("\"\n", position_ + 1);
  if (end == std::string_view::npos || text_[end] == '\n') fail("a string is not closed");
  Token token{Token::Kind::text, text_.substr(position_ + 1, end - position_ - 1), 0, line_};
  position_ = end + 1;
  return token;
}

Token Lexer::word() {
  size_t length = at(0) == '.' ? 1 : 0;
  const bool directive = length == 1;
  for (;;) {
    while (is_name(at(length))) ++length;
    if (directive) break;
    // Suffixes belong to the word: ld.global.v2.f32, %tid.x, mbarrier::complete_tx::bytes.
    if (at(length) == '.' && is_name(at(length + 1))) {
      ++length;
    } else if (at(length) == ':' && at(length + 1) == ':' && is_name(at(length + 2))) {
      length += 2;
    } else {
      break;
    }
  }
  return take(directive ? Token::Kind::directive : Token::Kind::word, length);
}

Token Lexer::number() {
  const char second = at(1);
  if (at(0) == '0' && (second == 'f' || second == 'F' || second == 'd' || second == 'D')) {
    const bool is_single = second == 'f' || second == 'F';
    const size_t digits = is_single ? 8 : 16;
    uint64_t bits = 0;
    for (size_t i = 0; i < digits; ++i) {
      const int digit = hex_digit(at(2 + i));
      if (digit < 0) fail(format("a floating-point literal needs {} hexadecimal digits", digits));
      bits = bits << 4 | static_cast<uint64_t>(digit);
    }
    if (is_name(at(2 + digits))) fail(format("a floating-point literal has more than {} hexadecimal digits", digits));
    Token token = take(is_single ? Token::Kind::real32 : Token::Kind::real64, 2 + digits);
    token.value = bits;
    return token;
  }
  uint64_t base = 10;
  size_t length = 0;
  if (at(0) == '0' && (second == 'x' || second == 'X')) {
    base = 16;
    length = 2;
  } else if (at(0) == '0' && (second == 'b' || second == 'B')) {
    base = 2;
    length = 2;
  } else if (at(0) == '0') {
    base = 8;
  }
  const size_t start = length;
  uint64_t value = 0;
  for (;; ++length) {
    const int digit = base == 16 ? hex_digit(at(length)) : is_digit(at(length)) ? at(length) - '0' : -1;
    if (digit < 0) break;
    if (base == 8 && digit > 7) fail("an octal literal has a digit above 7");
    if (base == 2 && digit > 1) fail("a binary literal has a digit above 1");
    if (value > (UINT64_MAX - static_cast<uint64_t>(digit)) / base) fail("an integer literal is above 2^64 - 1");
    value = value * base + static_cast<uint64_t>(digit);
  }
  if (length == start) fail("an integer literal has no digits");
  if (base != 16 && at(length) == '.' && is_digit(at(length + 1))) {
    while (is_digit(at(length)) || at(length) == '.') ++length;
    const std::string digits(text_.substr(position_, length));
    char* end = nullptr;
    const double number = std::strtod(digits.c_str(), &end);
    if (*end != '\0') fail(format("{} is not a number", digits));
    Token token = take(Token::Kind::real64, length);
    token.value = std::bit_cast<uint64_t>(number);
    return token;
  }
  if (at(length) == 'U') ++length;
  if (is_name(at(length))) fail("a name starts with a digit");
  Token token = take(Token::Kind::integer, length);
  token.value = value;
  return token;
}

}  // namespace emulator::ptx
