// Calls and branches. The body of a called function is decoded again where the call stands, with registers of its own;
// parameters and results are the caller's .param variables themselves (PTX ISA 9.0, sections 7.1, 9.7.12.5).
#include "machine/decoder.h"
#include "machine/system_calls.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Operand;

Outcome nothing(Warp&, const Op&, uint32_t) {
  return Outcome::next;
}

}  // namespace

void Decoder::branch_to(size_t i) {
  if (operand(i).kind != Operand::Kind::label) fail("the target is not a label");
  op.flow = Flow::branch;
  op.target = operand(i).index;
  branches_.push_back(op.number);
}

void Decoder::branch_to_one_of(size_t i) {
  const Operand& label = operand(i);
  const auto& instructions = function_.instructions;
  if (label.kind != Operand::Kind::label || label.index >= instructions.size() ||
      instructions[label.index].opcode != "branchtargets") {
    fail("the targets are no label of .branchtargets");
  }
  std::vector<uint32_t>& targets = program_.branch_targets.emplace_back();
  for (const Operand& target : instructions[label.index].operands) {
    if (target.kind != Operand::Kind::label) fail("a target is not a label");
    targets.push_back(target.index);
  }
  op.flow = Flow::indexed_branch;
  op.value = static_cast<int64_t>(program_.branch_targets.size() - 1);
  branches_.push_back(op.number);
}

void Decoder::return_to_caller() {
  op.flow = Flow::branch;
  returns_.push_back(op.number);
}

void Decoder::decode_body() {
  register_slots_.assign(function_.registers.size(), kNoSlot);
  for (const ptx::Instruction& instruction : function_.instructions) {
    first_op_.push_back(static_cast<uint32_t>(program_.ops.size()));
    decode_instruction(instruction);
  }
  // Falling off the end is an exit or a return, and a place for labels that stand there.
  const auto end = static_cast<uint32_t>(program_.ops.size());
  first_op_.push_back(end);
  if (!is_called()) {
    ptx::Instruction exit;
    exit.opcode = "exit";
    exit.line = function_.line;
    decode_instruction(exit);
  }
  for (const uint32_t branch : branches_) {
    Op& from = program_.ops[branch];
    if (from.flow == Flow::branch) {
      from.target = first_op_[from.target];
      continue;
    }
    for (uint32_t& target : program_.branch_targets[static_cast<size_t>(from.value)]) target = first_op_[target];
  }
  for (const uint32_t back : returns_) program_.ops[back].target = end;
}

/// Offsets in local memory of the .param variables that a call names.
std::vector<uint32_t> Decoder::argument_addresses(const Operand& list) const {
  std::vector<uint32_t> addresses;
  for (const Operand& argument : list.parts) {
    if (argument.kind != Operand::Kind::variable || !argument.local || argument.index >= Operand::kParameter ||
        function_.variables[argument.index].space != ptx::Space::param) {
      fail("arguments and results other than .param variables are not supported");
    }
    addresses.push_back(local_addresses_[argument.index]);
  }
  return addresses;
}

/// call{.uni} (results), name, (arguments);
void Decoder::call() {
  take("uni");
  size_t at = 0;
  std::vector<uint32_t> addresses;
  if (operand(0).kind == Operand::Kind::list) addresses = argument_addresses(operand(at++));
  const Operand& name = operand(at++);
  if (name.kind != Operand::Kind::function) fail("calls through a register are not supported");
  if (at < operand_count()) {
    if (operand(at).kind != Operand::Kind::list) fail("a list of arguments is expected");
    const std::vector<uint32_t> more = argument_addresses(operand(at++));
    addresses.insert(addresses.end(), more.begin(), more.end());
  }
  if (at != operand_count()) fail("calls through a register are not supported");
  for (const ptx::Function& function : module_.functions) {
    if (function.name != name.name) continue;
    if (function.results.size() + function.parameters.size() != addresses.size())
      fail(format("{} has another number of arguments", function.name));
    if (!function.has_body) break;
    for (const Decoder* above = this; above != nullptr; above = above->caller_) {
      if (&above->function_ == &function) fail(format("{} calls itself, which is not supported", function.name));
    }
    callee_ = &function;
    arguments_ = std::move(addresses);
    op.run = nothing;
    if (op.guard == kNoSlot) return;
    // Lanes that do not call go on behind the body.
    op.guard_negated = !op.guard_negated;
    op.flow = Flow::branch;
    return;
  }
  if (!decode_system_call(op, name.name, addresses)) fail(format("function {} is not there", name.name));
}

void Decoder::insert_body(const ptx::Function& callee, const std::vector<uint32_t>& arguments) {
  const auto call = static_cast<uint32_t>(program_.ops.size() - 1);
  Decoder body(module_, callee, addresses_, program_);
  body.caller_ = this;
  body.shared_addresses_ = shared_addresses_;
  uint64_t local = program_.local_bytes;
  // The first of a function's variables are its results and parameters.
  for (size_t i = 0; i < callee.variables.size(); ++i) {
    const ptx::Variable& variable = callee.variables[i];
    if (i < arguments.size()) {
      body.local_addresses_.push_back(arguments[i]);
      continue;
    }
    if (variable.space == ptx::Space::shared) fail("shared variables of a called function are not supported");
    body.local_addresses_.push_back(place_variable(local, variable));
  }
  program_.local_bytes = static_cast<uint32_t>((local + 15) / 16 * 16);
  body.decode_body();
  if (program_.ops[call].flow == Flow::branch) program_.ops[call].target = static_cast<uint32_t>(program_.ops.size());
}

void add_calls(DecodeTable& table) {
  table["call"] = [](Decoder& d) { d.call(); };
}

}  // namespace emulator::machine
