// A kernel, decoded: what the warps of a launch run.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "machine/op.h"
#include "ptx/error.h"
#include "ptx/module.h"

namespace emulator::machine {

class Memory;

/// First byte of a CTA's own shared memory: sm_90 keeps 1 KiB below it.
constexpr uint32_t kSharedStart = 1024;

struct Parameter {
  uint32_t offset = 0, size = 0;
};

struct Program {
  struct Constant {
    Slot slot;
    bool wide;
    uint64_t value;
  };
  struct Special {
    Slot slot;
    std::string name;
  };

  std::string name;
  std::vector<Op> ops;
  std::vector<std::string> texts;  // opcodes, by Op::number
  std::vector<uint32_t> lines;     // of the PTX text
  std::vector<ptx::SourceLine> sources;
  std::vector<std::string> files;
  std::vector<std::vector<uint32_t>> branch_targets;  // of brx.idx
  std::vector<Parameter> parameters;
  uint32_t parameter_bytes = 0;
  uint32_t slots = 0;
  std::vector<Constant> constants;
  std::vector<Special> specials;
  uint32_t static_shared_end = kSharedStart;  // where dynamic shared memory starts
  uint32_t local_bytes = 0;                   // a thread
  std::array<uint32_t, 3> max_threads{}, required_threads{}, cluster{};
  uint32_t max_registers = 0;

  [[nodiscard]] std::string where(uint32_t op) const;  // "line 12: ld.global.f32 (kernel.cu:40)"
};

/// Addresses of a module's .global and .const variables, by Module::variables' index.
using VariableAddresses = std::vector<uint64_t>;

/// Decodes one entry of a module. Every instruction that the machine does not have is an error with its line.
std::variant<std::unique_ptr<Program>, ptx::Error> decode(const ptx::Module& module, const ptx::Function& function,
                                                          const VariableAddresses& addresses);

}  // namespace emulator::machine
