// Small kernels in pairs: one with a mistake that has to be found, and its sound twin.
#include <gtest/gtest.h>

#include <ostream>

#include "pair.h"

namespace emulator::test {
namespace {

using machine::Finding;

struct OneCta {
  const char* name;
  uint32_t threads;
  const char* sound;
  const char* wrong;
  Finding finding;
};

std::ostream& operator<<(std::ostream& out, const OneCta& pair) {
  return out << pair.name;
}

class Checks : public testing::TestWithParam<OneCta> {};

TEST_P(Checks, FindTheMistakeAndNothingInItsSoundTwin) {
  const OneCta& pair = GetParam();
  machine::LaunchShape shape;
  shape.block = {pair.threads, 1, 1};
  check_pair({pair.name, shape, pair.sound, pair.wrong, pair.finding});
}

const OneCta kPairs[] = {
    {"write_then_read_by_another_warp", 64,
     R"(shl.b32 %r2, %r1, 2; add.u32 %r2, %r2, %r0; st.shared.u32 [%r2], %r1; bar.sync 0;
        xor.b32 %r3, %r2, 128; ld.shared.u32 %r4, [%r3];)",
     R"(shl.b32 %r2, %r1, 2; add.u32 %r2, %r2, %r0; st.shared.u32 [%r2], %r1;
        xor.b32 %r3, %r2, 128; ld.shared.u32 %r4, [%r3];)",
     Finding::race},
    {"read_then_write_by_another_warp", 64,
     R"(setp.lt.u32 %p1, %r1, 32; @%p1 st.shared.u32 [%r0], 1; bar.sync 0; ld.shared.u32 %r4, [%r0]; bar.sync 0;
        setp.eq.u32 %p2, %r1, 40; @%p2 st.shared.u32 [%r0], 2;)",
     R"(setp.lt.u32 %p1, %r1, 32; @%p1 st.shared.u32 [%r0], 1; bar.sync 0; ld.shared.u32 %r4, [%r0];
        setp.eq.u32 %p2, %r1, 40; @%p2 st.shared.u32 [%r0], 2;)",
     Finding::race},
    {"shared_read_before_any_write", 32, "st.shared.u32 [%r0], 1; ld.shared.u32 %r2, [%r0];",
     "ld.shared.u32 %r2, [%r0];", Finding::uninitialised},
    {"half_of_a_word_written", 32, "st.shared.u32 [%r0], 1; ld.shared.u32 %r2, [%r0];",
     "mov.u16 %h1, 7; st.shared.u16 [%r0+2], %h1; ld.shared.u32 %r2, [%r0];", Finding::uninitialised},
    {"global_read_before_any_write", 32, "ld.global.u32 %r2, [%in];", "ld.global.u32 %r2, [%out];",
     Finding::uninitialised},
    {"register_read_before_any_write", 32, "mov.u32 %r3, 1; add.u32 %r2, %r3, 1;", "add.u32 %r2, %r3, 1;",
     Finding::uninitialised},
    {"register_written_in_half_of_the_lanes", 32, "mov.u32 %r3, 1; add.u32 %r2, %r3, 1;",
     "setp.lt.u32 %p1, %r1, 16; @%p1 mov.u32 %r3, 1; add.u32 %r2, %r3, 1;", Finding::uninitialised},
    {"global_past_the_end", 32, "ld.global.u32 %r2, [%in+1020];", "ld.global.u32 %r2, [%in+1024];",
     Finding::out_of_bounds},
    {"global_before_the_start", 32, "ld.global.u32 %r2, [%in];", "ld.global.u32 %r2, [%in+-4];",
     Finding::out_of_bounds},
    {"shared_past_the_end", 32, "st.shared.u32 [%r0+4092], 1;", "st.shared.u32 [%r0+4096], 1;", Finding::out_of_bounds},
    {"host_pointer", 32, "st.global.u32 [%out], 1;", "mov.u64 %d1, 0x7ffd00001000; st.global.u32 [%d1], 1;",
     Finding::out_of_bounds},
    {"misaligned_vector", 32, "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%in+16];",
     "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%in+8];", Finding::misaligned},
    {"misaligned_shared", 32, "st.shared.u32 [%r0+4], 1;", "st.shared.u32 [%r0+6], 1;", Finding::misaligned},
    {"write_to_a_parameter", 32, "st.global.u32 [%out], 1;",
     "mov.u64 %d1, out_address; cvta.param.u64 %d1, %d1; st.u32 [%d1], 1;", Finding::out_of_bounds},
    {"barrier_counts_differ", 64, "bar.sync 1, 64;",
     "setp.lt.u32 %p1, %r1, 32; @%p1 bra a; bar.sync 1, 64; bra b; a: bar.sync 1, 32; b: bar.sync 0;",
     Finding::barrier},
    {"barrier_for_half_a_warp", 64, "bar.sync 1, 64;", "bar.sync 1, 48;", Finding::barrier},
    {"barrier_number_17", 32, "bar.sync 15;", "bar.sync 17;", Finding::barrier},
    {"barrier_left_half_full", 64,
     "setp.lt.u32 %p1, %r1, 32; @%p1 bra a; bar.sync 1, 64; bra b; a: bar.arrive 1, 64; b:",
     "setp.lt.u32 %p1, %r1, 32; @%p1 bra b; bar.arrive 1, 64; b:", Finding::barrier},
    {"barrier_that_one_warp_misses", 64, "bar.sync 0;", "setp.lt.u32 %p1, %r1, 32; @%p1 bar.sync 0;",
     Finding::deadlock},
    {"spin_on_what_never_comes", 32, "w: ld.global.u32 %r2, [%in]; setp.ne.u32 %p1, %r2, 1; @%p1 bra w;",
     "w: ld.global.u32 %r2, [%in]; setp.ne.u32 %p1, %r2, 2; @%p1 bra w;", Finding::deadlock},
    {"shuffle_from_a_lane_that_is_not_there", 32, "shfl.sync.idx.b32 %r2, %r1, 1, 31, -1;",
     "setp.lt.u32 %p1, %r1, 8; @%p1 shfl.sync.idx.b32 %r2, %r1, 9, 31, 255;", Finding::operand},
    {"trap", 32, "setp.gt.u32 %p1, %r1, 31; @%p1 trap;", "setp.gt.u32 %p1, %r1, 30; @%p1 trap;", Finding::trap},
    {"register_pool", 384, "setmaxnreg.dec.sync.aligned.u32 168;", "setmaxnreg.dec.sync.aligned.u32 176;",
     Finding::register_pool},
    {"mbarrier_without_initialisation", 32,
     "setp.ne.u32 %p1, %r1, 0; @%p1 bra e; mbarrier.init.shared.b64 [%r0], 1; mbarrier.arrive.shared.b64 _, [%r0]; e:",
     "setp.ne.u32 %p1, %r1, 0; @%p1 bra e; mbarrier.arrive.shared.b64 _, [%r0]; e:", Finding::barrier},
    {"mbarrier_initialised_twice", 32,
     "setp.ne.u32 %p1, %r1, 0; @%p1 bra e; mbarrier.init.shared.b64 [%r0], 1; mbarrier.inval.shared.b64 [%r0]; "
     "mbarrier.init.shared.b64 [%r0], 1; e:",
     "setp.ne.u32 %p1, %r1, 0; @%p1 bra e; mbarrier.init.shared.b64 [%r0], 1; mbarrier.init.shared.b64 [%r0], 1; e:",
     Finding::barrier},
    {"bytes_expected_and_never_sent", 32,
     "setp.ne.u32 %p1, %r1, 0; @%p1 bra e; mbarrier.init.shared.b64 [%r0], 1; mbarrier.arrive.shared.b64 _, [%r0]; e:",
     "setp.ne.u32 %p1, %r1, 0; @%p1 bra e; mbarrier.init.shared.b64 [%r0], 1; "
     "mbarrier.arrive.expect_tx.shared.b64 _, [%r0], 64; e:",
     Finding::transaction},
    {"bulk_store_without_proxy_fence", 32,
     R"(setp.ne.u32 %p1, %r1, 0; @%p1 bra e; st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;
        cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group;
        cp.async.bulk.wait_group 0; e:)",
     R"(setp.ne.u32 %p1, %r1, 0; @%p1 bra e; st.shared.v4.u32 [%r0], {1, 2, 3, 4};
        cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group;
        cp.async.bulk.wait_group 0; e:)",
     Finding::proxy},
    {"bulk_store_source_overwritten", 32,
     R"(setp.ne.u32 %p1, %r1, 0; @%p1 bra e; st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;
        cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group;
        cp.async.bulk.wait_group.read 0; st.shared.u32 [%r0], 5; e:)",
     R"(setp.ne.u32 %p1, %r1, 0; @%p1 bra e; st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;
        cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group;
        st.shared.u32 [%r0], 5; e:)",
     Finding::race},
    {"bulk_copy_of_12_bytes", 32,
     R"(setp.ne.u32 %p1, %r1, 0; @%p1 bra e; st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;
        cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group;
        cp.async.bulk.wait_group.read 0; e:)",
     R"(setp.ne.u32 %p1, %r1, 0; @%p1 bra e; st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;
        cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 12; e:)",
     Finding::misaligned},
    {"wgmma_factor_overwritten_in_flight", 128,
     R"(shl.b32 %r2, %r1, 5; add.u32 %r2, %r2, %r0; mov.u32 %r3, 0; st.shared.v4.u32 [%r2], {%r3, %r3, %r3, %r3};
        st.shared.v4.u32 [%r2+16], {%r3, %r3, %r3, %r3}; fence.proxy.async.shared::cta; bar.sync 0;
        mov.u32 %r4, 0; mov.u32 %r5, 0; mov.u32 %r6, 0; mov.u32 %r7, 0; setp.ne.u32 %p1, 0, 0; wgmma.fence.sync.aligned;
        wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, {%r4, %r5, %r6, %r7}, 0x800080040, %p1, 1, 1, 0;
        wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; mov.u32 %r4, 1;)",
     R"(shl.b32 %r2, %r1, 5; add.u32 %r2, %r2, %r0; mov.u32 %r3, 0; st.shared.v4.u32 [%r2], {%r3, %r3, %r3, %r3};
        st.shared.v4.u32 [%r2+16], {%r3, %r3, %r3, %r3}; fence.proxy.async.shared::cta; bar.sync 0;
        mov.u32 %r4, 0; mov.u32 %r5, 0; mov.u32 %r6, 0; mov.u32 %r7, 0; setp.ne.u32 %p1, 0, 0; wgmma.fence.sync.aligned;
        wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, {%r4, %r5, %r6, %r7}, 0x800080040, %p1, 1, 1, 0;
        wgmma.commit_group.sync.aligned; mov.u32 %r4, 1; wgmma.wait_group.sync.aligned 0;)",
     Finding::register_in_flight},
    {"cp_async_read_before_the_wait", 32,
     R"(shl.b32 %r2, %r1, 2; add.u32 %r3, %r0, %r2; cvt.u64.u32 %d1, %r2; add.u64 %d2, %in, %d1;
        cp.async.ca.shared.global [%r3], [%d2], 4; cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r4, [%r3];)",
     R"(shl.b32 %r2, %r1, 2; add.u32 %r3, %r0, %r2; cvt.u64.u32 %d1, %r2; add.u64 %d2, %in, %d1;
        cp.async.ca.shared.global [%r3], [%d2], 4; cp.async.commit_group; cp.async.wait_group 1; ld.shared.u32 %r4, [%r3];)",
     Finding::race},
};

INSTANTIATE_TEST_SUITE_P(Emulator, Checks, testing::ValuesIn(kPairs),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(Reports, NameBothSidesOfARace) {
  Kernel kernel(kernel_text(R"(
  .shared .b32 word;
  .loc 1 77 1
  mov.u32 %r1, %tid.x;
  st.shared.u32 [word], %r1;)"));
  kernel.argument(uint64_t{0});
  kernel.argument(uint64_t{0});
  kernel.shape.block = {64, 1, 1};
  const Result result = kernel.run();
  ASSERT_EQ(result.reports.size(), 1u) << result.text();
  const std::string& text = result.reports[0].message;
  EXPECT_NE(text.find("race: write of shared 0x400 of CTA (0,0,0) by CTA (0,0,0) warp "), std::string::npos) << text;
  EXPECT_NE(text.find("is not ordered after the write by CTA (0,0,0) warp "), std::string::npos) << text;
  EXPECT_NE(text.find("line 14: st.shared.u32"), std::string::npos) << text;
}

TEST(Reports, SayWhoWaitsForWhat) {
  const Result result = run_body("setp.lt.u32 %p1, %r1, 32; @%p1 bar.sync 3;", {{1, 1, 1}, {64, 1, 1}}, 1);
  ASSERT_EQ(result.reports.size(), 1u) << result.text();
  const std::string& text = result.reports[0].message;
  EXPECT_NE(text.find("CTA (0,0,0) warp 0 lanes ffffffff at line 15: bar.sync: waits at barrier 3, where 32 of 64 "
                      "threads have arrived"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace emulator::test
