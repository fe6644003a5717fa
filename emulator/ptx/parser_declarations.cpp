// Registers and variables (PTX ISA 9.0, sections 5.4 and 5.5).
#include <bit>
#include <utility>

#include "ptx/parser.h"
#include "support/format.h"

namespace emulator::ptx {
namespace {

constexpr uint64_t kMaxRegisters = 1u << 20;
constexpr uint64_t kMaxBytes = 1u << 30;
constexpr size_t kMaxInitializer = 1u << 24;

}  // namespace

void Parser::registers() {
  if (token_.kind != Token::Kind::directive) unexpected("a register's type");
  const Token name = take();
  const std::optional<Type> type = type_named(name.text.substr(1));
  if (!type) fail(format("registers of type {} are not supported", name.text));
  do {
    const std::string stem(expect_word("a register's name"));
    uint64_t count = 0;
    const bool numbered = accept('<');
    if (numbered) {
      count = expect_integer("a number of registers", kMaxRegisters);
      expect('>');
    }
    for (uint64_t i = 0; i < (numbered ? count : 1); ++i) {
      const std::string full = numbered ? stem + std::to_string(i) : stem;
      if (function_->registers.size() >= kMaxRegisters) fail(format("more than {} registers", kMaxRegisters));
      if (!scopes_.bind(full, {Binding::Kind::reg, static_cast<uint32_t>(function_->registers.size())})) {
        fail(format("{} is declared twice", full));
      }
      function_->registers.push_back({full, *type});
    }
  } while (accept(','));
  expect(';');
}

/// [.align N] [.v2|.v4] .type [.ptr ...] name [extents]
Variable Parser::declarator(Space space, bool sized_elsewhere) {
  Variable variable;
  variable.space = space;
  uint64_t elements = 1, align = 0;
  for (;;) {
    if (accept(".align")) {
      align = expect_integer("an alignment", 4096);
      if (!std::has_single_bit(align)) fail(format("alignment {} is not a power of two", align));
    } else if (accept(".v2")) {
      elements = 2;
    } else if (accept(".v4")) {
      elements = 4;
    } else {
      break;
    }
  }
  if (token_.kind != Token::Kind::directive) unexpected("a type");
  const Token type_name = take();
  const std::optional<Type> type = type_named(type_name.text.substr(1));
  if (!type || *type == Type::pred) fail(format("variables of type {} are not supported", type_name.text));
  if (accept(".ptr")) {
    while (token_.kind == Token::Kind::directive) {
      const bool has_number = token_.is(".align");
      take();
      if (has_number) expect_integer("an alignment", UINT64_MAX);
    }
  }
  variable.type = *type;
  variable.align = static_cast<uint32_t>(align != 0 ? align : size_of(*type) * elements);
  variable.name = expect_word("a variable's name");
  variable.size = size_of(*type) * elements;
  while (accept('[')) {
    if (accept(']')) {
      variable.size = 0;
      if (!sized_elsewhere) variable.external = true;
      continue;
    }
    const uint64_t extent = expect_integer("an extent", kMaxBytes);
    expect(']');
    if (extent != 0 && variable.size > kMaxBytes / extent) fail(format("{} is larger than 1 GiB", variable.name));
    variable.size *= extent;
  }
  return variable;
}

void Parser::variables(Space space, bool external) {
  Variable variable = declarator(space, external);
  const bool unsized = variable.external;
  variable.external = external;
  if (accept('=')) {
    if (space == Space::shared) fail("shared variables have no initial values");
    initializer(variable);
  } else if (unsized && !external) {
    fail(format("{} has no size", variable.name));
  }
  expect(';');
  bind_variable(std::move(variable));
}

void Parser::initializer(Variable& variable) {
  const size_t width = size_of(variable.type);
  const auto element = [&] {
    const bool minus = accept('-');
    if (token_.kind != Token::Kind::integer && token_.kind != Token::Kind::real32 &&
        token_.kind != Token::Kind::real64) {
      fail(format("'{}' as an initial value is not supported; numbers are", token_.text));
    }
    if (minus && token_.kind != Token::Kind::integer)
      fail("a minus before a floating-point initial value is not supported");
    if (token_.kind == Token::Kind::real64 && variable.type == Type::f32) {
      fail("an initial value of type .f32 has to be written as 0f followed by 8 digits");
    }
    const uint64_t value = minus ? 0 - take().value : take().value;
    for (size_t i = 0; i < width; ++i) {
      variable.initial.push_back(i < 8 ? static_cast<uint8_t>(value >> (8 * i)) : uint8_t{0});
    }
    if (variable.initial.size() > kMaxInitializer) fail("an initial value is larger than 16 MiB");
  };
  size_t depth = 0;
  do {
    while (accept('{')) ++depth;
    if (!token_.is('}')) element();
    while (depth > 0 && accept('}')) --depth;
  } while (accept(','));
  if (depth != 0) unexpected("}");
  if (variable.size == 0) variable.size = variable.initial.size();
  if (variable.initial.size() > variable.size) fail(format("{} has more initial values than elements", variable.name));
  variable.initial.resize(variable.size);
}

void Parser::bind_variable(Variable variable) {
  auto& into = function_ != nullptr ? function_->variables : module_.variables;
  const Binding binding{function_ != nullptr ? Binding::Kind::local_variable : Binding::Kind::module_variable,
                        static_cast<uint32_t>(into.size())};
  if (!scopes_.bind(variable.name, binding)) {
    // A declaration and a definition of one variable.
    const Binding* known = scopes_.find_here(variable.name);
    if (function_ != nullptr || known->kind != Binding::Kind::module_variable) {
      fail(format("{} is declared twice", variable.name));
    }
    Variable& before = into[known->index];
    if (!before.external && !variable.external) fail(format("{} is defined twice", variable.name));
    if (before.external) before = std::move(variable);
    return;
  }
  into.push_back(std::move(variable));
}

}  // namespace emulator::ptx
