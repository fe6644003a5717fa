#include "mutation/mutation.h"

#include <array>

namespace flash_mla::test {
namespace {

using emulator::ptx::Function;
using emulator::ptx::Instruction;
using emulator::ptx::Operand;
using Kind = Mutation::Kind;

bool starts(const Instruction& instruction, std::string_view with) {
  return instruction.opcode.starts_with(with);
}
bool has(const Instruction& instruction, std::string_view part) {
  return instruction.opcode.find(part) != std::string::npos;
}

/// Deleting it is a mistake, or may be one.
bool synchronises(const Instruction& instruction) {
  for (const std::string_view name :
       {"bar.sync", "bar.arrive", "bar.warp.sync", "barrier.", "mbarrier.init", "mbarrier.arrive", "mbarrier.expect_tx",
        "fence", "membar", "cp.async", "wgmma.", "setmaxnreg", "griddepcontrol", "stmatrix", "st.shared", "st.async",
        "red.", "atom."}) {
    if (starts(instruction, name)) return true;
  }
  return false;
}

void add_weaker(const Instruction& instruction, uint32_t at, std::vector<Mutation>& all) {
  const auto add = [&](Kind kind) { all.push_back({kind, at}); };
  if (starts(instruction, "bar.sync") && instruction.operands.size() == 2) add(Kind::arrives_only);
  if (starts(instruction, "bar.red") || starts(instruction, "shfl")) add(Kind::own_value);
  if (starts(instruction, "mbarrier.try_wait") || starts(instruction, "mbarrier.test_wait")) add(Kind::passes_at_once);
  if (starts(instruction, "mbarrier.arrive") && has(instruction, ".expect_tx")) add(Kind::expects_nothing);
  if (has(instruction, ".wait_group")) add(Kind::one_more_group);
  if (has(instruction, ".acquire") || (has(instruction, ".release") && !starts(instruction, "fence"))) {
    add(Kind::relaxed);
  }
}

void remove(Function& kernel, uint32_t at) {
  kernel.instructions.erase(kernel.instructions.begin() + at);
  for (Instruction& instruction : kernel.instructions) {
    for (Operand& operand : instruction.operands) {
      if (operand.kind == Operand::Kind::label && operand.index > at) --operand.index;
    }
  }
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  if (at != std::string::npos) text.replace(at, from.size(), to);
}

void give_own_value(Instruction& instruction) {
  Operand result = instruction.operands.front();
  if (result.kind == Operand::Kind::pair) result = Operand(result.parts.front());
  const bool shuffles = starts(instruction, "shfl");
  const Operand value = shuffles ? instruction.operands[1] : instruction.operands.back();
  instruction.opcode = shuffles ? "mov.b32" : "mov.pred";
  instruction.operands = {result, value};
}

void pass_at_once(Instruction& instruction) {
  Operand zero;
  zero.kind = Operand::Kind::integer;
  instruction.opcode = "setp.eq.u32";
  instruction.operands = {instruction.operands.front(), zero, zero};
}

}  // namespace

std::string_view name_of(Kind kind) {
  constexpr std::array<std::string_view, 7> kNames = {
      "deleted", "arrives only", "own value", "passes at once", "expects nothing", "one more group", "relaxed"};
  return kNames[static_cast<size_t>(kind)];
}

std::vector<Mutation> mutations_of(const Function& kernel) {
  std::vector<Mutation> all;
  for (uint32_t i = 0; i < kernel.instructions.size(); ++i) {
    if (synchronises(kernel.instructions[i])) all.push_back({Kind::deleted, i});
    add_weaker(kernel.instructions[i], i, all);
  }
  return all;
}

Function mutated(const Function& kernel, const Mutation& mutation) {
  Function result = kernel;
  Instruction& instruction = result.instructions[mutation.instruction];
  switch (mutation.kind) {
    case Kind::deleted:
      remove(result, mutation.instruction);
      break;
    case Kind::arrives_only:
      replace(instruction.opcode, "bar.sync", "bar.arrive");
      break;
    case Kind::own_value:
      give_own_value(instruction);
      break;
    case Kind::passes_at_once:
      pass_at_once(instruction);
      break;
    case Kind::expects_nothing:
      replace(instruction.opcode, ".expect_tx", "");
      instruction.operands.pop_back();
      break;
    case Kind::one_more_group:
      ++instruction.operands.front().value;
      break;
    case Kind::relaxed:
      replace(instruction.opcode, ".acquire", ".relaxed");
      replace(instruction.opcode, ".release", ".relaxed");
      break;
  }
  return result;
}

}  // namespace flash_mla::test
