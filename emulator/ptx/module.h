// A PTX module as the parser hands it on: names are resolved, instructions are not yet understood.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ptx/type.h"

namespace emulator::ptx {

struct Operand {
  enum class Kind : uint8_t {
    none,
    sink,      // _
    reg,       // index: Function::registers
    special,   // name: %tid.x and the like
    integer,   // value
    real32,    // value: the bits of 0f........
    real64,    // value: the bits of 0d................
    variable,  // index: Module::variables or Function::variables, as `local` says; value: offset in bytes
    label,     // index: of the instruction it stands before
    function,  // name
    address,   // [parts[0] + value], a tensor's coordinates in parts[1]
    list,      // {parts} or (parts)
    pair       // parts[0] | parts[1]
  };
  /// `index` of a local variable that is the entry's parameter: this and its number.
  static constexpr uint32_t kParameter = 1u << 24;

  Kind kind = Kind::none;
  bool negated = false;  // !p
  bool local = false;
  uint32_t index = 0;
  int64_t value = 0;
  std::string name;
  std::vector<Operand> parts;
};

struct Variable {
  std::string name;
  Space space = Space::global;
  Type type = Type::none;
  uint32_t align = 1;
  uint64_t size = 0;  // bytes; 0: sized at launch (extern .shared x[])
  bool external = false;
  std::vector<uint8_t> initial;  // empty: zeros
};

struct Register {
  std::string name;
  Type type = Type::none;
};

struct SourceLine {
  uint32_t file = 0;  // Module::files, 0 where unknown
  uint32_t line = 0;
  uint32_t caller = 0;  // Module::callers: where the compiler has inlined this; 0: nowhere
};

struct Instruction {
  std::string opcode;  // with its suffixes
  int32_t guard = -1;  // predicate register, -1: none
  bool guard_negated = false;
  std::vector<Operand> operands;
  uint32_t line = 0;
  SourceLine source;
};

struct Function {
  std::string name;
  bool entry = false;
  bool has_body = false;
  uint32_t line = 0;
  std::vector<Variable> parameters;
  std::vector<Variable> results;
  std::vector<Variable> variables;  // with the parameters and results of a .func
  std::vector<Register> registers;
  std::vector<Instruction> instructions;
  std::array<uint32_t, 3> max_threads{};       // .maxntid, 0: none
  std::array<uint32_t, 3> required_threads{};  // .reqntid, 0: none
  std::array<uint32_t, 3> cluster{};           // .reqnctapercluster, 0: none
  uint32_t max_registers = 0;                  // .maxnreg, 0: none
  uint32_t min_ctas = 0;                       // .minnctapersm, 0: none
};

struct Module {
  uint32_t version_major = 0, version_minor = 0;
  std::string target;
  std::vector<Variable> variables;
  std::vector<Function> functions;
  std::vector<std::string> files{""};  // numbered as .file numbers them
  std::vector<SourceLine> callers{{}};
};

}  // namespace emulator::ptx
