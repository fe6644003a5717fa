// What a replay has to know of a kernel's instructions: which unit they take, for how long, and what waits for what.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "machine/program.h"

namespace emulator::clock {

/// What issues and executes an instruction. ptxas makes nothing of `free` ones: moves, parameters, widenings.
enum class Unit : uint8_t { free, fma, alu, packed, transcendental, multiplier, division, shuffle, shared, branch };
constexpr size_t kUnits = 10;

enum class Kind : uint8_t {
  plain,
  wgmma,
  wgmma_commit,
  wgmma_wait,
  mbarrier_init,
  mbarrier_arrive,
  mbarrier_wait,
  barrier_sync,
  barrier_arrive,
  cluster_arrive,
  cluster_wait,
  bulk_copy,
  bulk_commit,
  bulk_wait,
  small_copy,
  small_commit,
  small_wait,
  fence,  // of memory
  memory,
  dependents,      // griddepcontrol.launch_dependents
  dependency_wait  // griddepcontrol.wait
};

/// Of a bulk copy.
enum class Way : uint8_t { load, store, send };

struct Instruction {
  Kind kind = Kind::plain;
  Unit unit = Unit::alu;
  bool is_double = false;  // 64 bits: two instructions of 32
  bool is_guarded = false;
  bool is_store = false;
  bool is_tensor_copy = false;
  Way way = Way::load;
  bool a_in_registers = false;        // wgmma
  uint16_t columns = 0;               // wgmma: n
  uint32_t immediate = 0;             // groups that may be left, columns
  uint32_t reads = 0, reads_end = 0;  // in Code::slots
  uint32_t writes = 0, writes_end = 0;
};

/// A kernel's instructions by machine::Op::number. Needs nothing of the program that it was made of.
struct Code {
  std::string name;
  std::vector<Instruction> instructions;
  std::vector<uint32_t> slots;  // registers, numbered from 0
  uint32_t registers = 0;
  std::vector<std::string> places;  // of the instructions: line, opcode, source
};

std::shared_ptr<const Code> code_of(const machine::Program& program);

}  // namespace emulator::clock
