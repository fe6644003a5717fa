// What stands between the braces of a function.
#include <utility>

#include "ptx/parser.h"
#include "support/format.h"

namespace emulator::ptx {
namespace {

constexpr uint32_t kMaxDepth = 3;
constexpr size_t kMaxBlocks = 256;
constexpr size_t kMaxParts = 512;

}  // namespace

void Parser::statement() {
  if (token_.kind == Token::Kind::end) unexpected("}");
  if (accept('{')) {
    if (scopes_.depth() > kMaxBlocks) fail(format("blocks are nested deeper than {}", kMaxBlocks));
    scopes_.open();
  } else if (accept('}')) {
    close_block();
  } else if (token_.kind == Token::Kind::directive) {
    local_directive();
  } else if (!accept(';')) {
    instruction();
  }
}

void Parser::close_block() {
  std::vector<OpenUse> uses = std::move(scopes_.open_uses());
  scopes_.open_uses().clear();
  std::vector<OpenUse> left;
  for (OpenUse& use : uses) {
    scopes_.find_here(use.name) != nullptr ? settle(use) : left.push_back(std::move(use));
  }
  const bool outermost = scopes_.depth() == 2;  // the module's names, and this function's
  scopes_.close();
  for (OpenUse& use : left) outermost ? settle(use) : scopes_.use_later(std::move(use));
}

void Parser::settle(const OpenUse& use) {
  Instruction& instruction = function_->instructions[use.instruction];
  Operand& operand = instruction.operands[use.operand];
  const Binding* const binding = scopes_.find(use.name);
  if (binding != nullptr && binding->kind == Binding::Kind::label) {
    operand.kind = Operand::Kind::label;
    operand.index = binding->index;
  } else if (binding == nullptr && instruction.opcode.starts_with("call")) {
    operand.kind = Operand::Kind::function;
  } else {
    throw Error{use.line, format("{} is not declared", use.name)};
  }
}

void Parser::local_directive() {
  if (accept(".reg")) return registers();
  if (accept(".local")) return variables(Space::local, false);
  if (accept(".shared")) return variables(Space::shared, false);
  if (accept(".param")) return variables(Space::param, false);
  if (accept(".loc")) return location();
  if (accept(".branchtargets")) return branch_targets();
  if (accept(".pragma")) return skip_statement();
  fail(format("directive {} is not supported in a function", take().text));
}

/// .loc file line column [, function_name label [+ offset], inlined_at file line column]
void Parser::location() {
  source_.file = static_cast<uint32_t>(expect_integer("a file's number", 100000));
  source_.line = static_cast<uint32_t>(expect_integer("a line", UINT32_MAX));
  expect_integer("a column", UINT32_MAX);
  while (accept(',')) {
    if (accept("function_name")) {
      expect_word("a label");
      if (accept('+')) expect_integer("an offset", UINT32_MAX);
    } else if (accept("inlined_at")) {
      for (const char* what : {"a file's number", "a line", "a column"}) expect_integer(what, UINT32_MAX);
    } else {
      unexpected("function_name or inlined_at");
    }
  }
}

void Parser::instruction() {
  Instruction instruction;
  instruction.line = token_.line;
  instruction.source = source_;
  if (accept('@')) {
    instruction.guard_negated = accept('!');
    const Operand guard = name_operand();
    if (guard.kind != Operand::Kind::reg || function_->registers[guard.index].type != Type::pred) {
      fail(format("guard {} is not a predicate register", guard.name));
    }
    instruction.guard = static_cast<int32_t>(guard.index);
  }
  const std::string_view opcode = expect_word("an instruction");
  if (instruction.guard < 0 && accept(':')) {
    const auto here = static_cast<uint32_t>(function_->instructions.size());
    if (!scopes_.bind(opcode, {Binding::Kind::label, here})) fail(format("{} is declared twice", opcode));
    return;
  }
  instruction.opcode = opcode;
  if (!token_.is(';')) {
    do {
      instruction.operands.push_back(operand(0));
      if (instruction.operands.size() > 16) fail("an instruction has more than 16 operands");
    } while (accept(','));
  }
  if (!token_.is(';')) unexpected("a comma or a semicolon");
  add_instruction(std::move(instruction));
  take();
}

void Parser::add_instruction(Instruction instruction) {
  const auto number = static_cast<uint32_t>(function_->instructions.size());
  for (uint32_t i = 0; i < instruction.operands.size(); ++i) {
    const Operand& use = instruction.operands[i];
    if (use.kind == Operand::Kind::label && use.index == UINT32_MAX) {
      scopes_.use_later({use.name, number, i, instruction.line});
    }
  }
  function_->instructions.push_back(std::move(instruction));
}

/// The targets of a brx.idx, kept as an instruction that does nothing: its label names them.
void Parser::branch_targets() {
  Instruction targets;
  targets.opcode = "branchtargets";
  targets.line = taken_line_;
  targets.source = source_;
  do {
    targets.operands.push_back(name_operand());
    if (targets.operands.size() > kMaxParts) fail(format("a branch has more than {} targets", kMaxParts));
  } while (accept(','));
  expect(';');
  add_instruction(std::move(targets));
}

Operand Parser::operand(uint32_t depth) {
  if (depth > kMaxDepth) fail("operands are nested too deeply");
  Operand result;
  if (accept('!')) {
    result = operand(depth + 1);
    result.negated = true;
    return result;
  }
  if (accept('{')) return list('}', depth);
  if (accept('(')) return list(')', depth);
  if (accept('[')) return address(depth);
  const bool minus = accept('-');
  if (token_.kind == Token::Kind::integer) {
    result.kind = Operand::Kind::integer;
    result.value = static_cast<int64_t>(minus ? 0 - token_.value : token_.value);
    take();
    return result;
  }
  if (token_.kind == Token::Kind::real32 || token_.kind == Token::Kind::real64) {
    const bool single = token_.kind == Token::Kind::real32;
    result.kind = single ? Operand::Kind::real32 : Operand::Kind::real64;
    result.value = static_cast<int64_t>(token_.value ^ (minus ? 1ull << (single ? 31 : 63) : 0));
    take();
    return result;
  }
  if (minus) unexpected("a number after a minus");
  result = name_operand();
  if (result.kind == Operand::Kind::label && depth > 0 && result.index == UINT32_MAX) {
    fail(format("{} is not declared", result.name));
  }
  if (accept('|')) {
    Operand pair;
    pair.kind = Operand::Kind::pair;
    pair.parts.push_back(std::move(result));
    pair.parts.push_back(operand(depth + 1));
    return pair;
  }
  if (result.kind == Operand::Kind::variable && (token_.is('+') || token_.is('-'))) {
    const bool back = take().is('-');
    const auto offset = static_cast<int64_t>(expect_integer("an offset", UINT32_MAX));
    result.value = back ? -offset : offset;
  }
  return result;
}

Operand Parser::list(char close, uint32_t depth) {
  Operand result;
  result.kind = Operand::Kind::list;
  if (accept(close)) return result;
  do {
    result.parts.push_back(operand(depth + 1));
    if (result.parts.size() > kMaxParts) fail(format("a list has more than {} parts", kMaxParts));
  } while (accept(','));
  expect(close);
  return result;
}

Operand Parser::address(uint32_t depth) {
  Operand result;
  result.kind = Operand::Kind::address;
  result.parts.push_back(operand(depth + 1));
  Operand& base = result.parts[0];
  if (base.kind != Operand::Kind::reg && base.kind != Operand::Kind::variable && base.kind != Operand::Kind::integer) {
    fail("an address has to start with a register, a variable or a number");
  }
  if (base.kind == Operand::Kind::variable) std::swap(result.value, base.value);
  if (token_.is('+') || token_.is('-')) {
    bool back = take().is('-');
    if (accept('-')) back = !back;
    const auto offset = static_cast<int64_t>(expect_integer("an offset", UINT32_MAX));
    result.value += back ? -offset : offset;
  }
  if (accept(',')) result.parts.push_back(operand(depth + 1));
  expect(']');
  return result;
}

Operand Parser::name_operand() {
  Operand result;
  const std::string_view name = expect_word("an operand");
  result.name = name;
  if (name == "_") {
    result.kind = Operand::Kind::sink;
    return result;
  }
  if (const Binding* const binding = scopes_.find(name)) {
    result.index = binding->index;
    result.local = binding->kind == Binding::Kind::local_variable;
    result.kind = binding->kind == Binding::Kind::reg     ? Operand::Kind::reg
                  : binding->kind == Binding::Kind::label ? Operand::Kind::label
                                                          : Operand::Kind::variable;
    return result;
  }
  for (size_t i = 0; function_ != nullptr && i < function_->parameters.size(); ++i) {
    if (function_->parameters[i].name != name) continue;
    result.kind = Operand::Kind::variable;
    result.local = true;
    result.index = static_cast<uint32_t>(Operand::kParameter + i);
    return result;
  }
  if (name == "WARP_SZ") {
    result.kind = Operand::Kind::integer;
    result.value = 32;
  } else if (name[0] == '%') {
    result.kind = Operand::Kind::special;
  } else {
    result.kind = Operand::Kind::label;
    result.index = UINT32_MAX;  // settled at the end of its block
  }
  return result;
}

}  // namespace emulator::ptx
