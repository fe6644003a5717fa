// Tensor maps that a kernel makes (PTX ISA 9.0, sections 9.7.9.28 and 9.7.14.1), and reductions by the copy engine
// (sections 9.7.9.25.4.2 and 9.7.9.27.1.3).
#include <gtest/gtest.h>

#include "kernel.h"

namespace emulator::test {
namespace {

using machine::Finding;
using Words = std::vector<uint32_t>;

/// One warp makes a map of `in` (rows of 32 words, 20 of them) in shared memory and copies it to %out + 4096, loads the
/// box of 8 x 16 at (16, 10) through it, and stores it to `out`. `fence`: what stands between.
std::string map_kernel(const std::string& start, const std::string& fence) {
  return kernel_text(R"(
  .shared .align 1024 .b8 box[1024];
  .shared .align 128 .b8 map[128];
  .shared .align 8 .b64 barrier;
  mov.u32 %r1, %tid.x;
  setp.eq.u32 %p1, %r1, 0;
  shl.b32 %r2, %r1, 2;
  mov.u32 %r3, map;
  mov.u32 %r9, barrier;
  mov.u32 %r10, box;
  add.u32 %r4, %r3, %r2;
)" + start + R"(
  bar.warp.sync -1;
  cvt.u64.u32 %d1, %r3;
  @%p1 tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%d1], %in;
  @%p1 tensormap.replace.tile.rank.shared::cta.b1024.b32 [%d1], 1;
  @%p1 tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [%d1], 0, 8;
  @%p1 tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [%d1], 1, 16;
  @%p1 tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%d1], 0, 32;
  @%p1 tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%d1], 1, 20;
  @%p1 tensormap.replace.tile.global_stride.shared::cta.b1024.b64 [%d1], 0, 128;
  @%p1 tensormap.replace.tile.element_stride.shared::cta.b1024.b32 [%d1], 0, 1;
  @%p1 tensormap.replace.tile.element_stride.shared::cta.b1024.b32 [%d1], 1, 1;
  @%p1 tensormap.replace.tile.elemtype.shared::cta.b1024.b32 [%d1], 2;
  @%p1 tensormap.replace.tile.interleave_layout.shared::cta.b1024.b32 [%d1], 0;
  @%p1 tensormap.replace.tile.swizzle_mode.shared::cta.b1024.b32 [%d1], 0;
  @%p1 tensormap.replace.tile.fill_mode.shared::cta.b1024.b32 [%d1], 0;
  bar.warp.sync -1;
  add.u64 %d2, %out, 4096;
  tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [%d2], [%d1], 128;
)" + fence + R"(
  @%p1 mbarrier.init.shared::cta.b64 [%r9], 1;
  fence.proxy.async.shared::cta;
  @%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r9], 512;
  mov.u32 %r5, 16;
  mov.u32 %r6, 10;
  @%p1 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r10], [%d2, {%r5, %r6}], [%r9];
wait:
  mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r9], 0;
  @!%p2 bra wait;
  mad.wide.u32 %d3, %r1, 16, %out;
  mad.lo.u32 %r7, %r1, 16, %r10;
  ld.shared.v4.u32 {%r11, %r12, %r13, %r14}, [%r7];
  st.global.v4.u32 [%d3], {%r11, %r12, %r13, %r14};
)");
}

constexpr const char* kZeros = "st.shared.u32 [%r4], 0;";
constexpr const char* kFence = "fence.proxy.tensormap::generic.acquire.gpu [%d2], 128;";

Result run_map(const std::string& text, Words& got) {
  Kernel kernel(text);
  kernel.shape.block = {32, 1, 1};
  Words tensor(20 * 32);
  for (uint32_t i = 0; i < tensor.size(); ++i) tensor[i] = i;
  const uint64_t out = kernel.upload(Words(2048));
  kernel.argument(out);
  kernel.argument(kernel.upload(tensor));
  Result result = kernel.run();
  got = kernel.download<uint32_t>(out, 128);
  return result;
}

TEST(TensorMaps, MadeByAKernelLoadTheirBox) {
  Words got;
  const Result result = run_map(map_kernel(kZeros, kFence), got);
  ASSERT_TRUE(result.clean()) << result.text();
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t column = 0; column < 8; ++column) {
      const uint32_t expected = row + 10 < 20 ? (row + 10) * 32 + column + 16 : 0;
      ASSERT_EQ(got[row * 8 + column], expected) << row << ", " << column;
    }
  }
}

TEST(TensorMaps, NeedAnAcquiringFence) {
  Words got;
  EXPECT_TRUE(run_map(map_kernel(kZeros, ""), got).found(Finding::proxy));
  EXPECT_TRUE(run_map(map_kernel(kZeros, "fence.proxy.tensormap::generic.release.gpu;"), got).found(Finding::proxy));
}

TEST(TensorMaps, AreMadeOfZeros) {
  Words got;
  EXPECT_TRUE(run_map(map_kernel("", kFence), got).found(Finding::uninitialised));
  EXPECT_TRUE(run_map(map_kernel("st.shared.u32 [%r4], 5;", kFence), got).found(Finding::operand));
}

TEST(TensorMaps, ThatAreIncompleteSayWhatIsMissing) {
  Words got;
  std::string text = map_kernel(kZeros, kFence);
  const std::string line = "@%p1 tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [%d1], 1, 16;";
  text.erase(text.find(line), line.size());
  const Result result = run_map(text, got);
  EXPECT_NE(result.text().find("has extent 20, box 0 and step 1 in dimension 1"), std::string::npos) << result.text();
}

/// 64 bytes of `in` are combined with 64 bytes of `out` by a bulk copy.
Words reduce_line(const std::string& operation, const Words& there, const Words& arriving, Result* result) {
  Kernel kernel(kernel_text(R"(
  .shared .align 128 .b8 line[64];
  mov.u32 %r1, %tid.x;
  setp.lt.u32 %p1, %r1, 16;
  setp.eq.u32 %p2, %r1, 0;
  mov.u32 %r2, line;
  mad.lo.u32 %r3, %r1, 4, %r2;
  mad.wide.u32 %d1, %r1, 4, %in;
  @%p1 ld.global.u32 %r4, [%d1];
  @%p1 st.shared.u32 [%r3], %r4;
  fence.proxy.async.shared::cta;
  bar.warp.sync -1;
  @%p2 cp.reduce.async.bulk.global.shared::cta.bulk_group.)" +
                            operation + R"( [%out], [%r2], 64;
  @%p2 cp.async.bulk.commit_group;
  @%p2 cp.async.bulk.wait_group 0;
)"));
  kernel.shape.block = {32, 1, 1};
  const uint64_t out = there.empty() ? kernel.memory.allocate(64) : kernel.upload(there);
  kernel.argument(out);
  kernel.argument(kernel.upload(arriving));
  *result = kernel.run();
  return kernel.download<uint32_t>(out, 16);
}

struct Operation {
  const char* name;
  uint32_t there, arriving, expected;
};

TEST(Reductions, OfLines) {
  for (const Operation& operation :
       {Operation{"add.u32", 0xffffffff, 3, 2}, Operation{"min.s32", 5, 0xfffffffe, 0xfffffffe},
        Operation{"max.u32", 5, 0xfffffffe, 0xfffffffe}, Operation{"and.b32", 12, 10, 8},
        Operation{"or.b32", 12, 10, 14}, Operation{"xor.b32", 12, 10, 6}, Operation{"inc.u32", 7, 7, 0},
        Operation{"dec.u32", 0, 7, 7}, Operation{"add.f32", 0x3f800000, 0x40000000, 0x40400000},
        // Two elements of 16 bits: 1 + 2 and 2 + 1; the larger of 1 and 2, and of NaN and 1.
        Operation{"add.noftz.bf16", 0x3f804000, 0x40003f80, 0x40404040},
        Operation{"add.noftz.f16", 0x3c004000, 0x40003c00, 0x42004200},
        Operation{"max.f16", 0x3c007e00, 0x40003c00, 0x40003c00}}) {
    Result result;
    const Words got = reduce_line(operation.name, Words(16, operation.there), Words(16, operation.arriving), &result);
    ASSERT_TRUE(result.clean()) << operation.name << ": " << result.text();
    EXPECT_EQ(got, Words(16, operation.expected)) << operation.name;
  }
}

TEST(Reductions, OfWhatNobodyWroteAreReported) {
  Result result;
  reduce_line("add.u32", {}, Words(16, 1), &result);
  EXPECT_TRUE(result.found(Finding::uninitialised)) << result.text();
}

TEST(Reductions, ThatTheManualDoesNotHaveAreRefused) {
  for (const char* const operation : {"add.s64", "and.u32", "inc.s32", "min.f32", "add.bf16", "max.noftz.f16"}) {
    Result result;
    reduce_line(operation, Words(16), Words(16), &result);
    EXPECT_NE(result.refusal.find("is not supported"), std::string::npos) << operation;
  }
}

/// Two CTAs of a cluster add 16 words each to CTA 0's shared memory.
TEST(Reductions, IntoAnotherCtasSharedMemory) {
  Kernel kernel(kernel_text(R"(
  .shared .align 128 .b8 from[64];
  .shared .align 128 .b8 sums[64];
  .shared .align 8 .b64 barrier;
  mov.u32 %r1, %tid.x;
  setp.lt.u32 %p1, %r1, 16;
  setp.eq.u32 %p2, %r1, 0;
  mov.u32 %r6, %cluster_ctarank;
  setp.eq.u32 %p3, %r6, 0;
  mov.u32 %r2, from;
  mov.u32 %r7, sums;
  mov.u32 %r8, barrier;
  mad.lo.u32 %r3, %r1, 4, %r2;
  mad.lo.u32 %r9, %r1, 4, %r7;
  @%p1 st.shared.u32 [%r3], %r1;
  @%p1 st.shared.u32 [%r9], 100;
  @%p2 mbarrier.init.shared::cta.b64 [%r8], 1;
  and.pred %p5, %p2, %p3;
  @%p5 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r8], 128;
  fence.proxy.async.shared::cta;
  fence.mbarrier_init.release.cluster;
  barrier.cluster.arrive.release.aligned;
  barrier.cluster.wait.acquire.aligned;
  mapa.shared::cluster.u32 %r10, %r7, 0;
  mapa.shared::cluster.u32 %r11, %r8, 0;
  @%p2 cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.add.u32 [%r10], [%r2], 64, [%r11];
  @!%p3 bra done;
wait:
  mbarrier.try_wait.parity.shared::cta.b64 %p4, [%r8], 0;
  @!%p4 bra wait;
  @%p1 ld.shared.u32 %r12, [%r9];
  mad.wide.u32 %d1, %r1, 4, %out;
  @%p1 st.global.u32 [%d1], %r12;
done:
  barrier.cluster.arrive.release.aligned;
  barrier.cluster.wait.acquire.aligned;
)"));
  kernel.shape = {{2, 1, 1}, {32, 1, 1}, {2, 1, 1}, 0};
  const uint64_t out = kernel.upload(Words(16));
  kernel.argument(out);
  kernel.argument(out);
  const Result result = kernel.run();
  const Words got = kernel.download<uint32_t>(out, 16);
  ASSERT_TRUE(result.clean()) << result.text();
  for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(got[i], 100 + 2 * i) << i;
}

}  // namespace
}  // namespace emulator::test
