// What is counted, against figures that follow from the kernels by hand.
#include <gtest/gtest.h>

#include "kernel.h"
#include "machine/coverage.h"
#include "machine/instruction_class.h"

namespace emulator::test {
namespace {

using machine::Counters;
using machine::InstructionClass;

/// One warp with %r1 its lane, %d1 its lane, %r2 the start of 8 KiB of shared memory, %r9 zero.
Counters counted(const std::string& body) {
  Result result;
  evaluate<uint32_t>(
      ".shared .align 1024 .b8 s[8192]; mov.u32 %r1, %laneid; cvt.u64.u32 %d1, %r1; mov.u32 %r2, s; mov.u32 %r9, 0;" +
          body,
      std::vector<uint32_t>(1024, 1), 1024, &result);
  EXPECT_TRUE(result.clean()) << result.text();
  return result.counters;
}

/// Lane l stores at l * stride.
Counters stored(uint32_t stride, const std::string& what, const char* values = "%r9") {
  return counted("mad.lo.u32 %r3, %r1, " + std::to_string(stride) + ", %r2; " + what + " [%r3], " + values + ";");
}
constexpr const char *kTwo = "{%r9, %r9}", *kFour = "{%r9, %r9, %r9, %r9}";

struct Strided {
  uint32_t stride;
  const char *store, *values;
  uint64_t wavefronts, ideal;
};

TEST(Counters, WavefrontsOfSharedMemory) {
  for (const Strided& each : {
           Strided{4, "st.shared.u32", "%r9", 1, 1},     // a bank a lane
           Strided{128, "st.shared.u32", "%r9", 32, 1},  // all in one bank
           Strided{8, "st.shared.u32", "%r9", 2, 1},     // even banks only
           Strided{132, "st.shared.u32", "%r9", 1, 1},   // a row and a word further each time
           Strided{8, "st.shared.v2.u32", kTwo, 2, 2},   // by half warps
           Strided{128, "st.shared.v2.u32", kTwo, 32, 2},
           Strided{16, "st.shared.v4.u32", kFour, 4, 4},  // by quarter warps
           Strided{128, "st.shared.v4.u32", kFour, 32, 4},
           Strided{144, "st.shared.v4.u32", kFour, 4, 4},  // 16 bytes further a row
       }) {
    const Counters counters = stored(each.stride, each.store, each.values);
    EXPECT_EQ(counters.shared_accesses, 1u);
    EXPECT_EQ(counters.shared_wavefronts, each.wavefronts) << each.store << " by " << each.stride;
    EXPECT_EQ(counters.shared_ideal_wavefronts, each.ideal) << each.store << " by " << each.stride;
  }
  // One word for all is one wavefront; so are two halves of each word.
  EXPECT_EQ(counted("st.shared.u32 [%r2], %r9; bar.warp.sync -1; ld.shared.u32 %r3, [%r2];").shared_wavefronts, 2u);
  EXPECT_EQ(counted("cvt.u16.u32 %h1, %r9; mad.lo.u32 %r3, %r1, 2, %r2; st.shared.u16 [%r3], %h1;").shared_wavefronts,
            1u);
}

TEST(Counters, WavefrontsOfMatrices) {
  // Rows of 8 x 8 matrices 16 bytes apart, and 128 bytes apart: 8 rows in the same four banks.
  EXPECT_EQ(stored(16, "stmatrix.sync.aligned.m8n8.x4.shared.b16", kFour).shared_wavefronts, 4u);
  const Counters conflicts = stored(128, "stmatrix.sync.aligned.m8n8.x4.shared.b16", kFour);
  EXPECT_EQ(conflicts.shared_wavefronts, 32u);
  EXPECT_EQ(conflicts.shared_ideal_wavefronts, 4u);
}

TEST(Counters, SectorsOfGlobalMemory) {
  const auto loaded = [](uint32_t stride, const char* load, uint32_t shift = 0) {
    return counted("mul.lo.u64 %d2, %d1, " + std::to_string(stride) + "; add.u64 %d2, %d2, %in; " + load + " [%d2+" +
                   std::to_string(shift) + "];");
  };
  const Counters together = loaded(4, "ld.global.u32 %r3,");
  EXPECT_EQ(together.global_load_bytes, 128u);
  EXPECT_EQ(together.global_load_sectors, 4u);
  EXPECT_EQ(together.global_load_ideal_sectors, 4u);
  const Counters shifted = loaded(4, "ld.global.u32 %r3,", 8);
  EXPECT_EQ(shifted.global_load_sectors, 5u);
  EXPECT_EQ(shifted.global_load_ideal_sectors, 4u);
  const Counters apart = loaded(128, "ld.global.u32 %r3,");
  EXPECT_EQ(apart.global_load_sectors, 32u);
  EXPECT_EQ(apart.global_load_ideal_sectors, 4u);
  const Counters same = loaded(0, "ld.global.u32 %r3,");
  EXPECT_EQ(same.global_load_bytes, 128u);
  EXPECT_EQ(same.global_load_sectors, 1u);
  EXPECT_EQ(same.global_load_ideal_sectors, 1u);
  const Counters wide = loaded(16, "ld.global.v4.u32 {%r3, %r4, %r5, %r6},");
  EXPECT_EQ(wide.global_load_sectors, 16u);
  EXPECT_EQ(wide.global_load_ideal_sectors, 16u);
  const Counters generic = loaded(64, "ld.u32 %r3,");
  EXPECT_EQ(generic.global_load_sectors, 32u);
  EXPECT_EQ(counted("cvta.shared.u64 %d3, s; st.u32 [%d3], %r9;").global_store_bytes, 0u);
}

TEST(Counters, SmallCopiesReadNoMoreThanTheyAreTold) {
  const Counters counters = counted(
      "mul.lo.u64 %d2, %d1, 16; add.u64 %d2, %d2, %in; mad.lo.u32 %r3, %r1, 16, %r2; and.b32 %r4, %r1, 1; "
      "mul.lo.u32 %r4, %r4, 8; cp.async.ca.shared.global [%r3], [%d2], 16, %r4; cp.async.wait_all;");
  EXPECT_EQ(counters.global_load_bytes, 16u * 8);
  EXPECT_EQ(counters.global_load_sectors, 16u);
  EXPECT_EQ(counters.global_load_ideal_sectors, 4u);
}

TEST(Counters, AtomicsByLane) {
  EXPECT_EQ(counted("red.global.add.u32 [%out], 1;").atomics, 32u);
  EXPECT_EQ(counted("setp.lt.u32 %p1, %r1, 3; @%p1 red.global.add.u32 [%out], 1;").atomics, 3u);
}

TEST(Counters, BulkCopiesSayWhatGlobalMemoryHadToDo) {
  const Counters counters = counted(R"(
  setp.eq.u32 %p1, %r1, 0;
  add.u32 %r3, %r2, 4096;
  @%p1 mbarrier.init.shared.b64 [%r3], 1;
  fence.mbarrier_init.release.cluster;
  bar.sync 0;
  @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r3], 512;
  @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%in], 512, [%r3];
wait:
  mbarrier.try_wait.parity.shared.b64 %p2, [%r3], 0;
  @!%p2 bra wait;
  @%p1 cp.async.bulk.global.shared::cta.bulk_group [%out], [%r2], 256;
  @%p1 cp.async.bulk.commit_group;
  @%p1 cp.async.bulk.wait_group 0;)");
  EXPECT_EQ(counters.bulk_load_bytes, 512u);
  EXPECT_EQ(counters.tensor_load_bytes, 0u);
  EXPECT_EQ(counters.fetched_bytes, 512u);
  EXPECT_EQ(counters.bulk_store_bytes, 256u);
  EXPECT_EQ(counters.written_bytes, 256u);
  EXPECT_EQ(counters.barrier_waits, 1u);
  EXPECT_EQ(counters.mbarrier_waits, 1u) << "however often the loop went round";
}

TEST(Counters, OfLaunchesAddUp) {
  Counters sum = stored(128, "st.shared.u32");
  sum.add(stored(128, "st.shared.u32"));
  EXPECT_EQ(sum.shared_wavefronts, 64u);
  uint64_t executions = 0, by_instruction = 0;
  for (const uint64_t each : sum.executions) executions += each;
  for (const machine::Pieces& each : sum.wavefronts) by_instruction += each.touched;
  EXPECT_EQ(executions, sum.warp_instructions);
  EXPECT_EQ(by_instruction, 64u);
}

struct Named {
  const char* opcode;
  InstructionClass type;
};

TEST(InstructionClasses, ByOpcode) {
  for (const Named& each : {
           Named{"wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16", InstructionClass::tensor},
           Named{"wgmma.wait_group.sync.aligned", InstructionClass::tensor_control},
           Named{"cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes",
                 InstructionClass::bulk_copy},
           Named{"cp.async.cg.shared.global", InstructionClass::small_copy},
           Named{"ld.shared::cluster.u32", InstructionClass::shared},
           Named{"st.shared.v4.u32", InstructionClass::shared},
           Named{"stmatrix.sync.aligned.m8n8.x4.shared.b16", InstructionClass::shared},
           Named{"ld.global.nc.v4.u32", InstructionClass::global},
           Named{"ld.u32", InstructionClass::global},
           Named{"ld.param.u64", InstructionClass::constant},
           Named{"st.local.u32", InstructionClass::local},
           Named{"red.global.add.f32", InstructionClass::atomic},
           Named{"mbarrier.try_wait.parity.shared::cta.b64", InstructionClass::mbarrier},
           Named{"bar.warp.sync", InstructionClass::barrier},
           Named{"fence.proxy.async.shared::cta", InstructionClass::fence},
           Named{"shfl.sync.bfly.b32", InstructionClass::exchange},
           Named{"fma.rn.f32", InstructionClass::arithmetic},
           Named{"add.rn.bf16x2", InstructionClass::arithmetic},
           Named{"add.s64", InstructionClass::integer},
           Named{"div.rn.f32", InstructionClass::special},
           Named{"div.s32", InstructionClass::integer},
           Named{"ex2.approx.ftz.f32", InstructionClass::special},
           Named{"cvt.rn.bf16x2.f32", InstructionClass::convert},
           Named{"setp.lt.f32", InstructionClass::select},
           Named{"mov.b32", InstructionClass::move},
           Named{"bra.uni", InstructionClass::control},
           Named{"setmaxnreg.inc.sync.aligned.u32", InstructionClass::other},
       }) {
    EXPECT_EQ(machine::name_of(machine::class_of(each.opcode)), machine::name_of(each.type)) << each.opcode;
  }
}

// Two source lines, of which the second is inlined twice and runs in one place only.
constexpr const char* kWithLines = R"(
  .loc 1 10 1
  mov.u32 %r1, 1;
  .loc 2 20 1, function_name name, inlined_at 1 10 1
  setp.eq.u32 %p1, %r1, 1;
  @%p1 bra over;
  .loc 1 11 1
  mov.u32 %r2, 1;
  .loc 2 20 1, function_name name, inlined_at 1 11 1
  mov.u32 %r3, 1;
over:
)";

std::unique_ptr<machine::Program> decoded(const std::string& text) {
  const auto parsed = ptx::parse(text);
  if (const auto* error = std::get_if<ptx::Error>(&parsed)) {
    ADD_FAILURE() << error->line << ": " << error->message;
    return nullptr;
  }
  const auto& module = std::get<ptx::Module>(parsed);
  auto program = machine::decode(module, module.functions.front(), {});
  return std::move(std::get<0>(program));
}

std::string text_with_lines() {
  return kernel_text(kWithLines) + ".file 1 \"outer.cu\"\n.file 2 \"inner.cuh\"\n";
}

TEST(Coverage, CountsInstructionsAndSourceLines) {
  const std::string text = text_with_lines();
  const auto program = decoded(text);
  ASSERT_NE(program, nullptr);
  Kernel kernel(text);
  kernel.argument(uint64_t{0});
  kernel.argument(uint64_t{0});
  const Result result = kernel.run();
  ASSERT_TRUE(result.clean()) << result.text();
  machine::Coverage coverage;
  coverage.add(*program, result.counters.executions);
  EXPECT_EQ(coverage.instructions().all, 8u);
  EXPECT_EQ(coverage.instructions().ran, 6u);
  EXPECT_EQ(coverage.lines().all, 3u);
  EXPECT_EQ(coverage.lines().ran, 2u);
  ASSERT_EQ(coverage.lines_not_run().size(), 1u);
  EXPECT_EQ(coverage.lines_not_run()[0], (machine::Coverage::Line{"outer.cu", 11}));
}

TEST(Coverage, KnowsWhereAFunctionWasInlined) {
  const auto program = decoded(text_with_lines());
  ASSERT_NE(program, nullptr);
  EXPECT_NE(program->where(2).find("(outer.cu:10)"), std::string::npos) << program->where(2);
  EXPECT_NE(program->where(3).find("(inner.cuh:20, in outer.cu:10)"), std::string::npos) << program->where(3);
  EXPECT_NE(program->where(6).find("(inner.cuh:20, in outer.cu:11)"), std::string::npos) << program->where(6);
}

}  // namespace
}  // namespace emulator::test
