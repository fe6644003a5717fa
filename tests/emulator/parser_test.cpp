// The parser: what it makes of a module, and what it says about malformed ones.
#include "ptx/parse.h"

#include <gtest/gtest.h>

#include "kernel.h"

namespace emulator::test {
namespace {

ptx::Module parsed(const std::string& text) {
  auto result = ptx::parse(text);
  if (const auto* error = std::get_if<ptx::Error>(&result)) {
    ADD_FAILURE() << "line " << error->line << ": " << error->message;
    return {};
  }
  return std::get<ptx::Module>(result);
}

/// "line: message"
std::string error_of(const std::string& text) {
  const auto result = ptx::parse(text);
  const auto* error = std::get_if<ptx::Error>(&result);
  return error == nullptr ? "parsed" : std::to_string(error->line) + ": " + error->message;
}

TEST(Parser, ReadsModuleLevelDeclarations) {
  const ptx::Module module = parsed(R"(// a comment
.version 8.8
.target sm_90a, debug
.address_size 64
.file 1 "kernel.cu", 123, 456
.global .align 16 .b8 table[6] = {1, 2, 0xff};
.const .f32 half = 0f3F000000;
.extern .shared .align 128 .b8 dynamic[];
.visible .entry first(.param .align 64 .b8 map[128], .param .u32 n) .maxntid 128, 1, 1 .minnctapersm 1 { ret; }
.section .debug_str { label: .b8 1,2 }
)");
  EXPECT_EQ(module.version_major, 8u);
  EXPECT_EQ(module.version_minor, 8u);
  EXPECT_EQ(module.target, "sm_90a");
  ASSERT_EQ(module.files.size(), 2u);
  EXPECT_EQ(module.files[1], "kernel.cu");
  ASSERT_EQ(module.variables.size(), 3u);
  EXPECT_EQ(module.variables[0].align, 16u);
  EXPECT_EQ(module.variables[0].initial, (std::vector<uint8_t>{1, 2, 255, 0, 0, 0}));
  EXPECT_EQ(module.variables[1].initial, (std::vector<uint8_t>{0, 0, 0, 0x3f}));
  EXPECT_TRUE(module.variables[2].external);
  EXPECT_EQ(module.variables[2].size, 0u);
  ASSERT_EQ(module.functions.size(), 1u);
  EXPECT_TRUE(module.functions[0].entry);
  EXPECT_EQ(module.functions[0].max_threads[0], 128u);
  EXPECT_EQ(module.functions[0].parameters[0].size, 128u);
  EXPECT_EQ(module.functions[0].parameters[0].align, 64u);
}

TEST(Parser, ReadsInstructions) {
  const ptx::Module module = parsed(module_text(R"(
.entry k(.param .u64 p) {
  .reg .pred %p<2>; .reg .b32 %r<3>; .reg .b64 %rd<2>;
  .loc 1 40 3, function_name $L__x, inlined_at 1 9 2
  @!%p1 bra $done;
  ld.global.v2.b32 {%r1, _}, [%rd1+-8];
  cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%rd1, {%r1, %r2}], [%r2];
  shfl.sync.bfly.b32 %r0|%p0, %r1, 1, 0x1f, -1;
$done:
  ret;
})"));
  const ptx::Function& function = module.functions.at(0);
  ASSERT_EQ(function.instructions.size(), 5u);
  const ptx::Instruction& branch = function.instructions[0];
  EXPECT_EQ(branch.guard, 1);
  EXPECT_TRUE(branch.guard_negated);
  EXPECT_EQ(branch.operands[0].kind, ptx::Operand::Kind::label);
  EXPECT_EQ(branch.operands[0].index, 4u);
  EXPECT_EQ(branch.source.line, 40u);
  EXPECT_EQ(branch.line, 8u);
  const ptx::Instruction& load = function.instructions[1];
  EXPECT_EQ(load.opcode, "ld.global.v2.b32");
  EXPECT_EQ(load.operands[0].parts[1].kind, ptx::Operand::Kind::sink);
  EXPECT_EQ(load.operands[1].value, -8);
  EXPECT_EQ(function.instructions[2].operands[1].parts[1].parts.size(), 2u);
  const ptx::Instruction& shuffle = function.instructions[3];
  EXPECT_EQ(shuffle.operands[0].kind, ptx::Operand::Kind::pair);
  EXPECT_EQ(shuffle.operands[4].value, -1);
}

TEST(Parser, KeepsNamesOfBlocksApart) {
  const ptx::Module module = parsed(module_text(R"(
.entry k() {
  { .reg .b32 t; mov.u32 t, 1; bra end; end: }
  { .reg .b64 t; mov.u64 t, 2; bra end; end: }
  ret;
})"));
  const ptx::Function& function = module.functions.at(0);
  ASSERT_EQ(function.registers.size(), 2u);
  EXPECT_EQ(function.instructions[0].operands[0].index, 0u);
  EXPECT_EQ(function.instructions[2].operands[0].index, 1u);
  EXPECT_EQ(function.instructions[1].operands[0].index, 2u);
  EXPECT_EQ(function.instructions[3].operands[0].index, 4u);
}

struct Malformed {
  const char* text;
  const char* error;
};

TEST(Parser, SaysWhatIsWrongAndWhere) {
  const Malformed cases[] = {
      {"", "1: the text ends where .version first is expected"},
      {".version x\n.target sm_90a", "1: .version x is not a number like 9.0"},
      {".version 8.8\n.target sm_90a\n.address_size 32\n", "3: only .address_size 64 is supported"},
      {".version 8.8\n.target sm_90a\nfoo",
       "3: 'foo' where a function, a variable or a directive of a module is expected"},
      {".version 8.8\n.target sm_90a\n.entry k() {\n ret", "4: the text ends where an operand is expected"},
      {".version 8.8\n.target sm_90a\n.entry k() {\n bra nowhere;\n}", "4: nowhere is not declared"},
      {".version 8.8\n.target sm_90a\n.entry k() {\n .reg .b32 a;\n .reg .b32 a;\n}", "5: a is declared twice"},
      {".version 8.8\n.target sm_90a\n.entry k() {\n .reg .b32 a;\n @a ret;\n}",
       "5: guard a is not a predicate register"},
      {".version 8.8\n.target sm_90a\n.entry k() {\n .reg .b32 a<99999999>;\n}",
       "4: a number of registers is 99999999; at most 1048576 is allowed"},
      {".version 8.8\n.target sm_90a\n.global .b32 x[1] = {1, 2};", "3: x has more initial values than elements"},
      {".version 8.8\n.target sm_90a\n.global .align 3 .b32 x;", "3: alignment 3 is not a power of two"},
      {".version 8.8\n.target sm_90a\n/* open", "3: a comment is not closed"},
      {".version 8.8\n.target sm_90a\n.global .f32 x = 0f12;",
       "3: a floating-point literal needs 8 hexadecimal digits"},
      {".version 8.8\n.target sm_90a\n.global .u64 x = 99999999999999999999;",
       "3: an integer literal is above 2^64 - 1"},
      {".version 8.8\n.target sm_90a\n\x01", "3: unexpected character 0x01"},
      {".version 8.8\n.target sm_90a\n.entry k() {ret;}\n.entry k() {ret;}", "4: function k is defined twice"},
  };
  for (const Malformed& malformed : cases) EXPECT_EQ(error_of(malformed.text), malformed.error);
}

TEST(Decoder, RefusesWhatItDoesNotKnowWithItsLine) {
  const auto refusal = [](const char* instruction) {
    return Kernel(kernel_text(std::string(instruction) + "\n")).run().refusal;
  };
  EXPECT_EQ(refusal("frob.u32 %r1, %r2;"), "line 10: instruction frob.u32 is not supported");
  EXPECT_EQ(refusal("add.u32.frob %r1, %r2, %r3;"), "line 10: instruction add.u32.frob is not supported");
  EXPECT_EQ(refusal("add.u32 %r1, %r2;"), "line 10: add.u32: 2 operands; 3 expected");
  EXPECT_EQ(refusal("add.u32 %d1, %r2, %r3;"), "line 10: add.u32: %d1 has 64 bits; 32 expected");
  EXPECT_EQ(refusal("mov.u32 %r1, %frob;"), "line 10: mov.u32: special register %frob is not supported");
  EXPECT_EQ(refusal("setmaxnreg.inc.sync.aligned.u32 25;"),
            "line 10: setmaxnreg.inc.sync.aligned.u32: 24 to 256 registers in steps of 8 are allowed");
}

}  // namespace
}  // namespace emulator::test
