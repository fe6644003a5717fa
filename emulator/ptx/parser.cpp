#include "ptx/parser.h"

#include <charconv>
#include <utility>

#include "ptx/parse.h"
#include "support/format.h"

namespace emulator::ptx {

std::variant<Module, Error> parse(std::string_view text) {
  try {
    return Parser(text).run();
  } catch (Error& error) {
    return std::move(error);
  }
}

Parser::Parser(std::string_view text) : lexer_(text), token_(lexer_.next()) {}

Module Parser::run() {
  scopes_.open();
  header();
  while (token_.kind != Token::Kind::end) top_level();
  return std::move(module_);
}

void Parser::header() {
  if (!accept(".version")) unexpected(".version first");
  const std::string_view version = take().text;
  const char* const end = version.data() + version.size();
  const auto major = std::from_chars(version.data(), end, module_.version_major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.' ||
      std::from_chars(major.ptr + 1, end, module_.version_minor).ptr != end) {
    fail(format(".version {} is not a number like 9.0", version));
  }
  if (!accept(".target")) unexpected(".target after .version");
  module_.target = expect_word("a target");
  while (accept(',')) expect_word("a target's option");
  if (accept(".address_size") && expect_integer("an address size", 64) != 64)
    fail("only .address_size 64 is supported");
}

void Parser::top_level() {
  bool external = false;
  for (;;) {
    if (accept(".visible") || accept(".weak") || accept(".common")) continue;
    if (!accept(".extern")) break;
    external = true;
  }
  if (accept(".entry")) return function(true);
  if (accept(".func")) return function(false);
  if (accept(".global")) return variables(Space::global, external);
  if (accept(".const")) return variables(Space::constant, external);
  if (accept(".shared")) return variables(Space::shared, external);
  if (accept(".file")) return file();
  if (accept(".section")) return skip_section();
  if (accept(".pragma")) return skip_statement();
  unexpected("a function, a variable or a directive of a module");
}

void Parser::file() {
  const uint64_t number = expect_integer("a file's number", 100000);
  if (token_.kind != Token::Kind::text) unexpected("a file's name");
  if (module_.files.size() <= number) module_.files.resize(number + 1);
  module_.files[number] = take().text;
  while (accept(',')) expect_integer("a file's time or size", UINT64_MAX);
}

void Parser::skip_section() {
  take();
  expect('{');
  while (!accept('}')) {
    if (token_.kind == Token::Kind::end) unexpected("}");
    take();
  }
}

void Parser::function(bool entry) {
  Function function;
  function.entry = entry;
  function.line = token_.line;
  accept(".noreturn");
  function_ = &function;
  scopes_.open();
  if (!entry && accept('(')) parameters(function.results);
  function.name = expect_word("a function's name");
  if (accept('(')) parameters(function.parameters);
  if (!entry) {
    for (const auto* variables : {&function.results, &function.parameters}) {
      for (const Variable& variable : *variables) bind_variable(variable);
    }
  }
  performance_directives();
  if (accept('{')) {
    function.has_body = true;
    body();
  } else {
    expect(';');
    scopes_.close();
  }
  function_ = nullptr;
  for (Function& known : module_.functions) {
    if (known.name != function.name) continue;
    if (known.has_body && function.has_body) fail(format("function {} is defined twice", function.name));
    if (function.has_body) known = std::move(function);
    return;
  }
  module_.functions.push_back(std::move(function));
}

void Parser::parameters(std::vector<Variable>& into) {
  if (accept(')')) return;
  do {
    if (!accept(".param") && !accept(".reg")) unexpected(".param");
    Variable variable = declarator(Space::param, false);
    for (const Variable& known : into) {
      if (known.name == variable.name) fail(format("parameter {} is declared twice", variable.name));
    }
    into.push_back(std::move(variable));
    if (into.size() > 4096) fail("more than 4096 parameters");
  } while (accept(','));
  expect(')');
}

void Parser::performance_directives() {
  const auto extents = [&](std::array<uint32_t, 3>& into) {
    into = {1, 1, 1};
    size_t i = 0;
    do {
      if (i == 3) fail("more than three extents");
      into[i++] = static_cast<uint32_t>(expect_integer("an extent", UINT32_MAX));
    } while (accept(','));
  };
  for (;;) {
    if (accept(".maxntid")) {
      extents(function_->max_threads);
    } else if (accept(".reqntid")) {
      extents(function_->required_threads);
    } else if (accept(".reqnctapercluster")) {
      extents(function_->cluster);
    } else if (accept(".maxnreg")) {
      function_->max_registers = static_cast<uint32_t>(expect_integer("a number of registers", 65536));
    } else if (accept(".minnctapersm")) {
      function_->min_ctas = static_cast<uint32_t>(expect_integer("a number of CTAs", UINT32_MAX));
    } else if (accept(".maxnctapersm") || accept(".maxclusterrank")) {
      expect_integer("a number", UINT32_MAX);
    } else if (accept(".pragma")) {
      skip_statement();
    } else if (!accept(".explicitcluster") && !accept(".noreturn")) {
      return;
    }
  }
}

void Parser::body() {
  source_ = {};
  places_.clear();
  const size_t depth = scopes_.depth();
  while (scopes_.depth() >= depth) statement();
}

Token Parser::take() {
  taken_line_ = token_.line;
  return std::exchange(token_, lexer_.next());
}

bool Parser::accept(char c) {
  if (!token_.is(c)) return false;
  take();
  return true;
}

bool Parser::accept(std::string_view word) {
  if (!token_.is(word)) return false;
  take();
  return true;
}

void Parser::expect(char c) {
  if (!accept(c)) unexpected(std::string_view(&c, 1));
}

std::string_view Parser::expect_word(std::string_view what) {
  if (token_.kind != Token::Kind::word) unexpected(what);
  return take().text;
}

uint64_t Parser::expect_integer(std::string_view what, uint64_t max) {
  if (token_.kind != Token::Kind::integer) unexpected(what);
  const uint64_t value = take().value;
  if (value > max) fail(format("{} is {}; at most {} is allowed", what, value, max));
  return value;
}

void Parser::skip_statement() {
  while (!accept(';')) {
    if (token_.kind == Token::Kind::end) unexpected(";");
    take();
  }
}

void Parser::fail(std::string message) const {
  throw Error{taken_line_, std::move(message)};
}

void Parser::unexpected(std::string_view wanted) const {
  throw Error{token_.line, token_.kind == Token::Kind::end ? format("the text ends where {} is expected", wanted)
                                                           : format("'{}' where {} is expected", token_.text, wanted)};
}

}  // namespace emulator::ptx
