#include "machine/instruction_class.h"

#include <array>
#include <unordered_map>

namespace emulator::machine {
namespace {

using Class = InstructionClass;

bool has(std::string_view opcode, std::string_view suffix) {
  for (size_t at = opcode.find(suffix); at != std::string_view::npos; at = opcode.find(suffix, at + 1)) {
    const size_t end = at + suffix.size();
    const bool ends = end == opcode.size() || opcode[end] == '.' || opcode[end] == ':';
    if (at > 0 && opcode[at - 1] == '.' && ends) return true;
  }
  return false;
}

bool is_floating(std::string_view opcode) {
  for (const std::string_view type : {"f16", "f16x2", "bf16", "bf16x2", "f32", "f64"}) {
    if (has(opcode, type)) return true;
  }
  return false;
}

Class class_of_access(std::string_view opcode) {
  if (has(opcode, "shared")) return Class::shared;
  if (has(opcode, "local")) return Class::local;
  if (has(opcode, "param") || has(opcode, "const")) return Class::constant;
  return Class::global;
}

Class class_of_arithmetic(std::string_view opcode) {
  if (!is_floating(opcode)) return Class::integer;
  const std::string_view name = opcode.substr(0, opcode.find('.'));
  return name == "div" || name == "rcp" || name == "sqrt" ? Class::special : Class::arithmetic;
}

const std::unordered_map<std::string_view, Class>& by_name() {
  static const std::unordered_map<std::string_view, Class> table = {
      {"atom", Class::atomic},
      {"red", Class::atomic},
      {"mbarrier", Class::mbarrier},
      {"bar", Class::barrier},
      {"barrier", Class::barrier},
      {"fence", Class::fence},
      {"membar", Class::fence},
      {"shfl", Class::exchange},
      {"vote", Class::exchange},
      {"redux", Class::exchange},
      {"match", Class::exchange},
      {"elect", Class::exchange},
      {"activemask", Class::exchange},
      {"ex2", Class::special},
      {"lg2", Class::special},
      {"rsqrt", Class::special},
      {"sin", Class::special},
      {"cos", Class::special},
      {"tanh", Class::special},
      {"cvt", Class::convert},
      {"setp", Class::select},
      {"set", Class::select},
      {"selp", Class::select},
      {"slct", Class::select},
      {"mov", Class::move},
      {"cvta", Class::move},
      {"isspacep", Class::select},
      {"mapa", Class::move},
      {"getctarank", Class::move},
      {"bra", Class::control},
      {"brx", Class::control},
      {"call", Class::control},
      {"exit", Class::control},
      {"ret", Class::control},
      {"trap", Class::control},
      {"ldmatrix", Class::shared},
      {"stmatrix", Class::shared},
      {"prefetch", Class::global},
      {"prefetchu", Class::global},
      {"and", Class::integer},
      {"or", Class::integer},
      {"xor", Class::integer},
      {"not", Class::integer},
      {"cnot", Class::integer},
      {"shl", Class::integer},
      {"shr", Class::integer},
      {"shf", Class::integer},
      {"popc", Class::integer},
      {"clz", Class::integer},
      {"brev", Class::integer},
      {"bfind", Class::integer},
      {"bfe", Class::integer},
      {"bfi", Class::integer},
      {"prmt", Class::integer},
      {"lop3", Class::integer},
      {"sad", Class::integer},
      {"addc", Class::integer},
      {"subc", Class::integer},
      {"madc", Class::integer},
  };
  return table;
}

}  // namespace

std::string_view name_of(Class type) {
  constexpr std::array<std::string_view, kInstructionClasses> kNames = {
      "tensor",  "tensor control", "bulk copies", "small copies", "shared", "global",   "constants",
      "local",   "atomics",        "mbarriers",   "barriers",     "fences", "exchange", "arithmetic",
      "special", "conversion",     "integer",     "selection",    "moves",  "control",  "other"};
  return kNames[static_cast<size_t>(type)];
}

Class class_of(std::string_view opcode) {
  const std::string_view name = opcode.substr(0, opcode.find('.'));
  if (name == "wgmma") return has(opcode, "mma_async") ? Class::tensor : Class::tensor_control;
  if (name == "cp") return has(opcode, "bulk") ? Class::bulk_copy : Class::small_copy;
  if (name == "ld" || name == "st" || name == "ldu") return class_of_access(opcode);
  for (const std::string_view arithmetic :
       {"add", "sub", "mul", "mad", "fma", "div", "rem", "rcp", "sqrt", "min", "max", "abs", "neg"}) {
    if (name == arithmetic) return class_of_arithmetic(opcode);
  }
  const auto found = by_name().find(name);
  return found == by_name().end() ? Class::other : found->second;
}

}  // namespace emulator::machine
