#include "machine/decoder.h"

#include <algorithm>
#include <utility>

#include "machine/address.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Operand;
using ptx::Space;

const DecodeTable& table() {
  static const DecodeTable built = [] {
    DecodeTable result;
    for (const auto add :
         {add_integer, add_bits, add_float, add_approximations, add_compare, add_convert, add_move, add_control,
          add_memory, add_atomics, add_matrix, add_warp, add_barriers, add_mbarrier, add_copies, add_wgmma}) {
      add(result);
    }
    return result;
  }();
  return built;
}

uint32_t align_up(uint64_t value, uint32_t align) {
  return static_cast<uint32_t>((value + align - 1) / align * align);
}

uint32_t bits_of_type(ptx::Type type) {
  return type == ptx::Type::pred ? 1 : 8 * ptx::size_of(type);
}

}  // namespace

std::variant<std::unique_ptr<Program>, ptx::Error> decode(const ptx::Module& module, const ptx::Function& function,
                                                          const VariableAddresses& addresses) {
  auto program = std::make_unique<Program>();
  try {
    Decoder(module, function, addresses, *program).run();
  } catch (ptx::Error& error) {
    return std::move(error);
  }
  return program;
}

std::string Program::where(uint32_t op) const {
  std::string text = format("line {}: {}", lines[op], texts[op]);
  const ptx::SourceLine& source = sources[op];
  if (source.line != 0 && source.file < files.size()) text += format(" ({}:{})", files[source.file], source.line);
  return text;
}

Decoder::Decoder(const ptx::Module& module, const ptx::Function& function, const VariableAddresses& addresses,
                 Program& program)
    : module_(module), function_(function), addresses_(addresses), program_(program) {}

void Decoder::run() {
  program_.name = function_.name;
  program_.files = module_.files;
  program_.max_threads = function_.max_threads;
  program_.required_threads = function_.required_threads;
  program_.cluster = function_.cluster;
  program_.max_registers = function_.max_registers;
  for (const ptx::Variable& parameter : function_.parameters) {
    const uint32_t offset = align_up(program_.parameter_bytes, parameter.align);
    program_.parameters.push_back({offset, static_cast<uint32_t>(parameter.size)});
    program_.parameter_bytes = offset + static_cast<uint32_t>(parameter.size);
  }
  // PTX ISA, kernel function parameters: 32,764 bytes from PTX 8.1 on.
  if (program_.parameter_bytes > 32764) throw ptx::Error{function_.line, "parameters of more than 32764 bytes"};
  lay_out_variables();
  register_slots_.assign(function_.registers.size(), kNoSlot);
  for (const ptx::Instruction& instruction : function_.instructions) decode_instruction(instruction);
  // Falling off the end is an exit, and a place for labels that stand there.
  ptx::Instruction exit;
  exit.opcode = "exit";
  exit.line = function_.line;
  decode_instruction(exit);
}

void Decoder::lay_out_variables() {
  uint64_t shared = kSharedStart, local = 0;
  const auto place = [](uint64_t& end, const ptx::Variable& variable) {
    const uint32_t at = align_up(end, std::max(variable.align, 1u));
    end = at + variable.size;
    // Addresses within a CTA have 24 bits; a thread has 512 KiB of local memory.
    if (end > (1u << 24)) throw ptx::Error{0, format("{} does not fit into its memory", variable.name)};
    return at;
  };
  const auto all = [&](const std::vector<ptx::Variable>& variables, std::vector<uint32_t>& into) {
    into.assign(variables.size(), 0);
    for (size_t i = 0; i < variables.size(); ++i) {
      const ptx::Variable& variable = variables[i];
      if (variable.space == Space::shared && variable.size != 0) into[i] = place(shared, variable);
      if (variable.space == Space::local || variable.space == Space::param) into[i] = place(local, variable);
    }
  };
  all(module_.variables, shared_addresses_);
  all(function_.variables, local_addresses_);
  // What is sized at launch lies after the rest, all of it at one address.
  uint32_t align = 16;
  for (const auto* variables : {&module_.variables, &function_.variables}) {
    for (const ptx::Variable& variable : *variables) {
      if (variable.space == Space::shared && variable.size == 0) align = std::max(align, variable.align);
    }
  }
  program_.static_shared_end = align_up(shared, align);
  const auto dynamic = [&](const std::vector<ptx::Variable>& variables, std::vector<uint32_t>& into) {
    for (size_t i = 0; i < variables.size(); ++i) {
      if (variables[i].space == Space::shared && variables[i].size == 0) into[i] = program_.static_shared_end;
    }
  };
  dynamic(module_.variables, shared_addresses_);
  dynamic(function_.variables, local_addresses_);
  program_.local_bytes = align_up(local, 16);
}

void Decoder::decode_instruction(const ptx::Instruction& instruction) {
  instruction_ = &instruction;
  op = Op();
  op.number = static_cast<uint32_t>(program_.ops.size());
  const std::string_view opcode = instruction.opcode;
  suffixes_.clear();
  for (size_t start = 0; start <= opcode.size();) {
    const size_t end = std::min(opcode.find('.', start), opcode.size());
    suffixes_.push_back(opcode.substr(start, end - start));
    start = end + 1;
  }
  const auto found = table().find(suffixes_.front());
  if (found == table().end()) unsupported();
  suffixes_.erase(suffixes_.begin());
  if (instruction.guard >= 0) {
    op.guard = register_slot(static_cast<uint32_t>(instruction.guard));
    op.guard_negated = instruction.guard_negated;
  }
  found->second(*this);
  if (!suffixes_.empty()) unsupported();
  program_.ops.push_back(std::move(op));
  program_.texts.push_back(instruction.opcode);
  program_.lines.push_back(instruction.line);
  program_.sources.push_back(instruction.source);
}

bool Decoder::has(std::string_view suffix) const {
  return std::find(suffixes_.begin(), suffixes_.end(), suffix) != suffixes_.end();
}

bool Decoder::take(std::string_view suffix) {
  const auto found = std::find(suffixes_.begin(), suffixes_.end(), suffix);
  if (found == suffixes_.end()) return false;
  suffixes_.erase(found);
  return true;
}

int Decoder::take_one_of(std::initializer_list<std::string_view> suffixes, int fallback) {
  int i = 0;
  for (const std::string_view suffix : suffixes) {
    if (take(suffix)) return i;
    ++i;
  }
  if (fallback < 0) unsupported();
  return fallback;
}

ptx::Type Decoder::take_type() {
  for (auto suffix = suffixes_.begin(); suffix != suffixes_.end(); ++suffix) {
    if (const auto type = ptx::type_named(*suffix)) {
      suffixes_.erase(suffix);
      return *type;
    }
  }
  unsupported();
}

/// .sem and .scope of memory operations (PTX ISA, section 8): the machine is sequentially consistent, so that they
/// matter to its checks only.
void Decoder::take_order(bool atomic) {
  enum Order { weak, relaxed, acquire, release, acq_rel, is_volatile, mmio };
  const int order = take_one_of({"weak", "relaxed", "acquire", "release", "acq_rel", "volatile", "mmio"}, weak);
  op.acquires = order == acquire || order == acq_rel;
  op.releases = order == release || order == acq_rel;
  const Scope scope = take_scope();
  if (order == weak && !atomic) return;
  op.scope = order == is_volatile || order == mmio ? Scope::device : scope;
}

/// None: the device's.
Scope Decoder::take_scope() {
  constexpr Scope kNamed[] = {Scope::cta, Scope::cluster, Scope::device, Scope::device, Scope::device};
  return kNamed[take_one_of({"cta", "cluster", "gpu", "sys", "gl"}, 2)];
}

void Decoder::expect_operands(size_t least, size_t most) {
  if (operand_count() >= least && operand_count() <= most) return;
  fail(least == most ? format("{} operands; {} expected", operand_count(), least)
                     : format("{} operands; {} to {} expected", operand_count(), least, most));
}

uint32_t Decoder::bits_of(const Operand& operand) const {
  return operand.kind == Operand::Kind::reg ? bits_of_type(function_.registers[operand.index].type) : 0;
}

void Decoder::check_width(const Operand& operand, uint32_t have, uint32_t bits, bool wider) const {
  if (have == bits || (wider && have > bits && bits != 1)) return;
  fail(format("{} has {} bits; {} expected", operand.name, have, bits));
}

Slot Decoder::new_slot(bool wide) {
  const Slot slot = program_.slots * kSlotBytes;
  program_.slots += wide ? 2 : 1;
  if (program_.slots > (1u << 22)) fail("the kernel has more registers than the machine");
  return slot;
}

Slot Decoder::register_slot(uint32_t index) {
  Slot& slot = register_slots_[index];
  if (slot == kNoSlot) {
    const uint32_t bits = bits_of_type(function_.registers[index].type);
    if (bits > 64) fail(format("register {} of 128 bits is not supported", function_.registers[index].name));
    slot = new_slot(bits == 64);
  }
  return slot;
}

Slot Decoder::destination(const Operand& operand, uint32_t bits, bool wider) {
  if (operand.kind == Operand::Kind::sink) return kNoSlot;
  if (operand.kind != Operand::Kind::reg) fail("a destination is not a register");
  check_width(operand, bits_of(operand), bits, wider);
  return register_slot(operand.index);
}

Slot Decoder::source(const Operand& operand, uint32_t bits, bool wider) {
  switch (operand.kind) {
    case Operand::Kind::reg:
      check_width(operand, bits_of(operand), bits, wider);
      return register_slot(operand.index);
    case Operand::Kind::special:
      return special(operand.name, bits);
    case Operand::Kind::variable:
      if (bits < 32) fail(format("the address of {} does not fit into {} bits", operand.name, bits));
      return constant(bits == 64, variable_address(operand) + static_cast<uint64_t>(operand.value));
    case Operand::Kind::integer:
    case Operand::Kind::real32:
    case Operand::Kind::real64: {
      auto value = static_cast<uint64_t>(operand.value);
      if (operand.kind == Operand::Kind::real32 && bits != 32) fail("a 32-bit floating-point literal in another type");
      if (operand.kind == Operand::Kind::real64 && bits != 64) fail("a 64-bit floating-point literal in another type");
      if (bits == 1) return constant(false, value != 0 ? UINT32_MAX : 0);
      if (bits < 64) value &= (1ull << bits) - 1;
      return constant(bits == 64, value);
    }
    default:
      fail("an operand is neither a register nor a number");
  }
}

void Decoder::add_destination(size_t i, uint32_t bits, bool wider) {
  op.dst[op.results] = destination(operand(i), bits, wider);
  if (op.dst[op.results] == kNoSlot) fail("a result is missing");
  ++op.results;
}

void Decoder::add_source(size_t i, uint32_t bits, bool wider) {
  op.wide |= static_cast<uint8_t>((bits == 64 ? 1 : 0) << op.sources);
  op.src[op.sources++] = source(operand(i), bits, wider);
}

void Decoder::add_address(size_t i, size_t s) {
  const Operand& address = operand(i);
  if (address.kind != Operand::Kind::address) fail("an address in brackets is expected");
  const Operand& base = address.parts[0];
  const bool wide = base.kind == Operand::Kind::reg ? bits_of(base) == 64 : true;
  if (base.kind == Operand::Kind::reg) {
    if (bits_of(base) < 32) fail(format("address {} has fewer than 32 bits", base.name));
    op.src[s] = register_slot(base.index);
    op.offsets[s] = address.value;
  } else {
    const uint64_t at =
        base.kind == Operand::Kind::integer ? static_cast<uint64_t>(base.value) : variable_address(base);
    op.src[s] = constant(true, at + static_cast<uint64_t>(address.value));
  }
  if (wide) op.wide |= static_cast<uint8_t>(1u << s);
  op.sources = std::max(op.sources, static_cast<uint8_t>(s + 1));
}

uint64_t Decoder::variable_address(const Operand& operand) const {
  if (!operand.local) {
    const Space space = module_.variables[operand.index].space;
    return space == Space::shared ? shared_addresses_[operand.index] : addresses_[operand.index];
  }
  if (operand.index >= Operand::kParameter) return program_.parameters[operand.index - Operand::kParameter].offset;
  return local_addresses_[operand.index];
}

int64_t Decoder::immediate(const Operand& operand) const {
  if (operand.kind != Operand::Kind::integer) fail("a constant is expected");
  return operand.value;
}

Slot Decoder::constant(bool wide, uint64_t value) {
  auto& known = wide ? wide_constants_ : narrow_constants_;
  const auto found = known.find(value);
  if (found != known.end()) return found->second;
  const Slot slot = new_slot(wide);
  known.emplace(value, slot);
  program_.constants.push_back({slot, wide, value});
  return slot;
}

void Decoder::fail(const std::string& message) const {
  throw ptx::Error{instruction_->line, format("{}: {}", instruction_->opcode, message)};
}

void Decoder::unsupported() const {
  throw ptx::Error{instruction_->line, format("instruction {} is not supported", instruction_->opcode)};
}

}  // namespace emulator::machine
