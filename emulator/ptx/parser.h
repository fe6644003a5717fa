// Recursive descent over a PTX text. Throws Error; parse() catches it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ptx/lexer.h"
#include "ptx/module.h"
#include "ptx/scope.h"

namespace emulator::ptx {

class Parser {
 public:
  explicit Parser(std::string_view text);
  Module run();

 private:
  // parser.cpp: modules and functions
  void header();
  void top_level();
  void file();
  void skip_section();
  void function(bool entry);
  void parameters(std::vector<Variable>& into);
  void performance_directives();
  void body();

  // parser_declarations.cpp
  void registers();
  Variable declarator(Space space, bool sized_elsewhere);
  void variables(Space space, bool external);
  void initializer(Variable& variable);
  void bind_variable(Variable variable);

  // parser_instructions.cpp
  void statement();
  void local_directive();
  void location();
  void branch_targets();
  void instruction();
  void add_instruction(Instruction instruction);
  Operand operand(uint32_t depth);
  Operand list(char close, uint32_t depth);
  Operand address(uint32_t depth);
  Operand name_operand();
  void close_block();
  void settle(const OpenUse& use);

  // parser.cpp: tokens
  Token take();
  bool accept(char c);
  bool accept(std::string_view word);
  void expect(char c);
  std::string_view expect_word(std::string_view what);
  uint64_t expect_integer(std::string_view what, uint64_t max);
  void skip_statement();
  /// At the line of the token that was taken last.
  [[noreturn]] void fail(std::string message) const;
  [[noreturn]] void unexpected(std::string_view wanted) const;

  Lexer lexer_;
  Token token_;
  uint32_t taken_line_ = 1;
  Module module_;
  Function* function_ = nullptr;
  Scopes scopes_;
  SourceLine source_;
};

}  // namespace emulator::ptx
