#include "clock/code.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <unordered_set>

namespace emulator::clock {
namespace {

using machine::kNoSlot;
using machine::Op;
using machine::Program;
using machine::Slot;

struct Opcode {
  std::string_view text;
  [[nodiscard]] bool starts(std::string_view prefix) const { return text.starts_with(prefix); }
  [[nodiscard]] bool has(std::string_view part) const { return text.find(part) != std::string_view::npos; }
  [[nodiscard]] bool is(std::initializer_list<std::string_view> words) const {
    const std::string_view word = text.substr(0, text.find('.'));
    return std::find(words.begin(), words.end(), word) != words.end();
  }
};

Kind kind_of(const Opcode& opcode) {
  if (opcode.starts("wgmma.mma_async")) return Kind::wgmma;
  if (opcode.starts("wgmma.commit_group")) return Kind::wgmma_commit;
  if (opcode.starts("wgmma.wait_group")) return Kind::wgmma_wait;
  if (opcode.starts("mbarrier.init")) return Kind::mbarrier_init;
  if (opcode.starts("mbarrier.arrive") || opcode.starts("mbarrier.expect_tx")) return Kind::mbarrier_arrive;
  if (opcode.starts("mbarrier.test_wait") || opcode.starts("mbarrier.try_wait")) return Kind::mbarrier_wait;
  if (opcode.starts("barrier.cluster.arrive")) return Kind::cluster_arrive;
  if (opcode.starts("barrier.cluster.wait")) return Kind::cluster_wait;
  if (opcode.is({"bar", "barrier"}) && !opcode.has(".warp"))
    return opcode.has(".arrive") ? Kind::barrier_arrive : Kind::barrier_sync;
  if (opcode.starts("cp.async.bulk.commit_group")) return Kind::bulk_commit;
  if (opcode.starts("cp.async.bulk.wait_group")) return Kind::bulk_wait;
  if (opcode.starts("cp.async.bulk") || opcode.starts("cp.reduce.async.bulk")) return Kind::bulk_copy;
  if (opcode.starts("cp.async.commit_group")) return Kind::small_commit;
  if (opcode.starts("cp.async.wait")) return Kind::small_wait;
  if (opcode.starts("cp.async")) return Kind::small_copy;
  if (opcode.starts("fence.mbarrier_init")) return Kind::plain;
  if (opcode.is({"fence", "membar"})) return Kind::fence;
  if (opcode.starts("griddepcontrol.launch")) return Kind::dependents;
  if (opcode.starts("griddepcontrol.wait")) return Kind::dependency_wait;
  if (opcode.is({"ld", "ldu"}) && !opcode.has(".param")) return Kind::memory;
  if (opcode.is({"st", "atom", "red", "ldmatrix", "stmatrix"})) return Kind::memory;
  return Kind::plain;
}

Unit unit_of(const Opcode& opcode) {
  if (opcode.is({"mov", "cvta", "ld", "createpolicy", "prefetch", "griddepcontrol", "fence"})) return Unit::free;
  if (opcode.starts("cvt.u64") || opcode.starts("cvt.u32") || opcode.starts("cvt.s64")) return Unit::free;
  if (opcode.starts("bar.warp")) return Unit::free;
  if (opcode.is({"bra", "ret", "exit"})) return Unit::branch;
  if (opcode.starts("cvt.rn.bf16.f32") || opcode.starts("cvt.rn.f16.f32")) return Unit::packed;
  if (opcode.is({"ex2", "lg2", "rcp", "rsqrt", "sqrt", "tanh", "sin", "cos", "redux"})) return Unit::transcendental;
  const bool is_float = opcode.has("f32") || opcode.has("f16") || opcode.has("f64");
  if (opcode.is({"div", "rem"})) return is_float ? Unit::fma : Unit::division;
  if (is_float && opcode.is({"add", "sub", "mul", "fma", "mad"})) return Unit::fma;
  if (opcode.is({"mul", "mad"})) return Unit::multiplier;
  if (opcode.is({"shfl"})) return Unit::shuffle;
  return Unit::alu;
}

Way way_of(const Opcode& opcode) {
  if (opcode.has(".global.shared::cta")) return Way::store;
  return opcode.has(".shared::cluster.shared::cta") ? Way::send : Way::load;
}

class Builder {
 public:
  Builder(const Program& program, Code& code) : program_(program), code_(code) {
    for (const Program::Constant& constant : program.constants) fixed_.insert(constant.slot);
    for (const Program::Special& special : program.specials) fixed_.insert(special.slot);
  }

  void add(const Op& op) {
    const Opcode opcode{program_.texts[op.number]};
    Instruction instruction;
    instruction.kind = kind_of(opcode);
    instruction.unit = instruction.kind == Kind::memory ? Unit::shared : unit_of(opcode);
    instruction.is_double = opcode.has("64") && instruction.unit == Unit::alu;
    instruction.is_guarded = op.guard != kNoSlot;
    instruction.is_store = opcode.is({"st", "stmatrix", "red"});
    instruction.is_tensor_copy = opcode.has(".tensor");
    instruction.way = way_of(opcode);
    instruction.immediate = static_cast<uint32_t>(op.value);
    if (instruction.kind == Kind::wgmma) {
      instruction.columns = static_cast<uint16_t>(op.value);
      instruction.a_in_registers = op.src[1] != kNoSlot;  // four of them, or one descriptor
    }
    add_registers(op, instruction);
    code_.instructions.push_back(instruction);
  }

 private:
  void add_registers(const Op& op, Instruction& instruction) {
    const bool is_wgmma = instruction.kind == Kind::wgmma;
    instruction.reads = static_cast<uint32_t>(code_.slots.size());
    // The sums of a wgmma wait in the tensor cores; of what it reads only registers have to be there.
    const bool reads_sources = !is_wgmma || instruction.a_in_registers;
    for (size_t i = 0; reads_sources && i < op.src.size(); ++i) add_slot(op.src[i]);
    if (op.guard != kNoSlot) add_slot(op.guard);
    if (op.list_is_read && !is_wgmma) {
      for (const Slot slot : op.list) add_slot(slot);
    }
    instruction.reads_end = instruction.writes = static_cast<uint32_t>(code_.slots.size());
    for (size_t i = 0; i < op.results; ++i) add_slot(op.dst[i]);
    if (!op.list_is_read && !is_wgmma) {
      for (const Slot slot : op.list) add_slot(slot);
    }
    instruction.writes_end = static_cast<uint32_t>(code_.slots.size());
  }
  void add_slot(Slot slot) {
    if (slot != kNoSlot && !fixed_.contains(slot)) code_.slots.push_back(slot / machine::kSlotBytes);
  }

  const Program& program_;
  Code& code_;
  std::unordered_set<Slot> fixed_;
};

}  // namespace

std::shared_ptr<const Code> code_of(const Program& program) {
  auto code = std::make_shared<Code>();
  code->name = program.name;
  code->registers = program.slots;
  Builder builder(program, *code);
  for (const Op& op : program.ops) {
    builder.add(op);
    code->places.push_back(program.where(op.number));
  }
  return code;
}

}  // namespace emulator::clock
