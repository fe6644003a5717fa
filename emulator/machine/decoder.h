// From an instruction's text to an Op: what the decoders of the single instructions share.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "machine/program.h"

namespace emulator::machine {

class Decoder {
 public:
  Decoder(const ptx::Module& module, const ptx::Function& function, const VariableAddresses& addresses,
          Program& program);
  void run();

  // The opcode's suffixes. Those that a decoder does not take make the instruction unknown.
  bool take(std::string_view suffix);
  /// The index of the one that is there; fails if none is, unless `fallback` is not negative.
  int take_one_of(std::initializer_list<std::string_view> suffixes, int fallback = -1);
  ptx::Type take_type();
  [[nodiscard]] bool has(std::string_view suffix) const;
  /// Into op: .acquire and the like, and the scope. `atomic`: what is not said is .relaxed.gpu, and not .weak.
  void take_order(bool atomic);
  Scope take_scope();

  // Operands
  [[nodiscard]] size_t operand_count() const { return instruction_->operands.size(); }
  [[nodiscard]] const ptx::Operand& operand(size_t i) const {
    if (i >= operand_count()) fail("an operand is missing");
    return instruction_->operands[i];
  }
  void expect_operands(size_t least, size_t most);
  void expect_operands(size_t exact) { expect_operands(exact, exact); }
  /// A register that the instruction writes. `bits`: of the instruction's type; 1: a predicate.
  Slot destination(const ptx::Operand& operand, uint32_t bits, bool wider = false);
  /// A register or a constant that it reads.
  Slot source(const ptx::Operand& operand, uint32_t bits, bool wider = false);
  void add_destination(size_t i, uint32_t bits, bool wider = false);
  void add_source(size_t i, uint32_t bits, bool wider = false);
  /// Puts the address of operand i into src[s], its offset into op.offset (src[0]) or into the constant.
  void add_address(size_t i, size_t s = 0);
  [[nodiscard]] int64_t immediate(const ptx::Operand& operand) const;
  Slot constant(bool wide, uint64_t value);
  Slot special(const std::string& name, uint32_t bits);
  [[nodiscard]] uint32_t bits_of(const ptx::Operand& operand) const;  // of a register, 0 for others

  /// Another op before the one at hand, of the same line.
  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void unsupported() const;

  Op op;

 private:
  void lay_out_variables();
  void decode_instruction(const ptx::Instruction& instruction);
  Slot new_slot(bool wide);
  Slot register_slot(uint32_t index);
  [[nodiscard]] uint64_t variable_address(const ptx::Operand& operand) const;
  void check_width(const ptx::Operand& operand, uint32_t have, uint32_t bits, bool wider) const;

  const ptx::Module& module_;
  const ptx::Function& function_;
  const VariableAddresses& addresses_;
  Program& program_;
  const ptx::Instruction* instruction_ = nullptr;
  std::vector<std::string_view> suffixes_;  // not yet taken
  std::vector<Slot> register_slots_;
  std::unordered_map<uint64_t, Slot> narrow_constants_, wide_constants_;
  std::unordered_map<std::string, Slot> specials_;
  std::vector<uint32_t> local_addresses_;   // of function_.variables
  std::vector<uint32_t> shared_addresses_;  // of module_.variables
};

using Decode = void (*)(Decoder&);
/// From the first word of an opcode to its decoder.
using DecodeTable = std::unordered_map<std::string_view, Decode>;

// Each of the files that implement instructions adds its own.
void add_integer(DecodeTable& table);
void add_bits(DecodeTable& table);
void add_float(DecodeTable& table);
void add_approximations(DecodeTable& table);
void add_compare(DecodeTable& table);
void add_convert(DecodeTable& table);
void add_move(DecodeTable& table);
void add_control(DecodeTable& table);
void add_memory(DecodeTable& table);
void add_atomics(DecodeTable& table);
void add_matrix(DecodeTable& table);
void add_warp(DecodeTable& table);
void add_barriers(DecodeTable& table);
void add_mbarrier(DecodeTable& table);
void add_copies(DecodeTable& table);
void add_wgmma(DecodeTable& table);

}  // namespace emulator::machine
