// Pairs of kernels about who accesses memory before whom: CTAs through global memory, lanes of one warp, asynchronous
// engines, and whoever uses the shared memory of a CTA that is not there yet or any more.
#include <gtest/gtest.h>

#include "pair.h"

namespace emulator::test {
namespace {

using machine::Finding;
using machine::LaunchShape;

constexpr LaunchShape kWarp{{1, 1, 1}, {32, 1, 1}, {1, 1, 1}, 0};
constexpr LaunchShape kTwoWarps{{1, 1, 1}, {64, 1, 1}, {1, 1, 1}, 0};
constexpr LaunchShape kTwoCtas{{2, 1, 1}, {32, 1, 1}, {1, 1, 1}, 0};
constexpr LaunchShape kTwoCtasOfTwoWarps{{2, 1, 1}, {64, 1, 1}, {1, 1, 1}, 0};
constexpr LaunchShape kCluster{{2, 1, 1}, {32, 1, 1}, {2, 1, 1}, 0};

class Races : public testing::TestWithParam<Pair> {};

TEST_P(Races, AreFoundAndNothingInTheirSoundTwins) {
  check_pair(GetParam());
}

// %d2: this thread's word of out.
#define OWN_WORD "mul.wide.u32 %d1, %r1, 4; add.u64 %d2, %out, %d1;"
// CTA 0 goes on, CTA 1 to `consume`.
#define CONSUMER_IS_CTA_1 "setp.eq.u32 %p1, %r63, 1; @%p1 bra consume;"
#define SPIN(load) "consume: " load " %r5, [%in]; setp.ne.u32 %p2, %r5, 2; @%p2 bra consume;"
#define THREAD_0 "setp.ne.u32 %p3, %r1, 0; @%p3 bra end;"
#define CLUSTER_BARRIER "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;"

const Pair kGlobal[] = {
    {"ctas_write_one_word", kTwoCtas, "mul.wide.u32 %d1, %r63, 4; add.u64 %d2, %out, %d1; st.global.u32 [%d2], %r1;",
     "st.global.u32 [%out], %r63;", Finding::race},
    {"one_cta_reads_what_another_overwrites", kTwoCtas,
     "mul.wide.u32 %d1, %r63, 4; add.u64 %d2, %in, %d1; ld.global.u32 %r2, [%d2]; st.global.u32 [%d2], %r2;",
     "setp.eq.u32 %p1, %r63, 1; @%p1 st.global.u32 [%in], 1; @!%p1 ld.global.u32 %r2, [%in];", Finding::race},
    {"warps_of_a_cta", kTwoWarps,
     OWN_WORD "st.global.u32 [%d2], %r1; bar.sync 0; xor.b64 %d3, %d2, 128; ld.global.u32 %r2, [%d3];",
     OWN_WORD "st.global.u32 [%d2], %r1; xor.b64 %d3, %d2, 128; ld.global.u32 %r2, [%d3];", Finding::race},
    {"sum_without_atomics", kTwoCtas, "red.global.add.u32 [%in], 1;",
     "ld.relaxed.gpu.global.u32 %r2, [%in]; add.u32 %r2, %r2, 1; st.global.u32 [%in], %r2;", Finding::race},
    {"atomics_and_a_plain_store", kTwoCtas, "red.global.add.u32 [%in], 1;",
     CONSUMER_IS_CTA_1 "red.global.add.u32 [%in], 1; bra end; consume: st.global.u32 [%in], 5; end:", Finding::race},
    {"atomics_of_another_scope", kTwoCtas, "red.relaxed.gpu.global.add.u32 [%in], 1;",
     "red.relaxed.cta.global.add.u32 [%in], 1;", Finding::race},
    {"flag_without_a_fence_before_it", kTwoCtas,
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; fence.acq_rel.gpu; st.relaxed.gpu.global.u32 [%in], 2; bra end;" SPIN(
         "ld.relaxed.gpu.global.u32") "fence.acq_rel.gpu; ld.global.u32 %r6, [%out]; end:",
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; st.relaxed.gpu.global.u32 [%in], 2; bra end;" SPIN(
         "ld.relaxed.gpu.global.u32") "fence.acq_rel.gpu; ld.global.u32 %r6, [%out]; end:",
     Finding::race},
    {"flag_without_a_fence_after_it", kTwoCtas,
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; membar.gl; st.volatile.global.u32 [%in], 2; bra end;" SPIN(
         "ld.volatile.global.u32") "membar.gl; ld.global.u32 %r6, [%out]; end:",
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; membar.gl; st.volatile.global.u32 [%in], 2; bra end;" SPIN(
         "ld.volatile.global.u32") "ld.global.u32 %r6, [%out]; end:",
     Finding::race},
    {"fence_of_the_cta_only", kTwoCtas,
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; membar.gl; st.volatile.global.u32 [%in], 2; bra end;" SPIN(
         "ld.volatile.global.u32") "membar.gl; ld.global.u32 %r6, [%out]; end:",
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; membar.cta; st.volatile.global.u32 [%in], 2; bra end;" SPIN(
         "ld.volatile.global.u32") "membar.gl; ld.global.u32 %r6, [%out]; end:",
     Finding::race},
    {"release_of_the_cta_only", kTwoCtas,
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; st.release.gpu.global.u32 [%in], 2; bra end;" SPIN(
         "ld.acquire.gpu.global.u32") "ld.global.u32 %r6, [%out]; end:",
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; st.release.cta.global.u32 [%in], 2; bra end;" SPIN(
         "ld.acquire.gpu.global.u32") "ld.global.u32 %r6, [%out]; end:",
     Finding::race},
    {"flag_that_is_a_plain_word", kTwoCtas,
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; st.release.gpu.global.u32 [%in], 2; bra end;" SPIN(
         "ld.acquire.gpu.global.u32") "ld.global.u32 %r6, [%out]; end:",
     CONSUMER_IS_CTA_1 "st.global.u32 [%out], 7; membar.gl; st.global.u32 [%in], 2; bra end;" SPIN(
         "ld.acquire.gpu.global.u32") "ld.global.u32 %r6, [%out]; end:",
     Finding::race},
    {"release_for_warps_that_have_not_come", kTwoCtasOfTwoWarps,
     CONSUMER_IS_CTA_1 OWN_WORD
     "st.global.u32 [%d2], 7; bar.sync 0;" THREAD_0 "red.release.gpu.global.add.u32 [%in], 1; bra end;" SPIN(
         "ld.acquire.gpu.global.u32") "ld.global.u32 %r6, [%out+128]; end:",
     CONSUMER_IS_CTA_1 OWN_WORD
     "st.global.u32 [%d2], 7;" THREAD_0 "red.release.gpu.global.add.u32 [%in], 1; bra end;" SPIN(
         "ld.acquire.gpu.global.u32") "ld.global.u32 %r6, [%out+128]; end:",
     Finding::race},
    // The last CTA sums up: each thread fences, one counts.
    {"last_cta_without_fences", kTwoCtasOfTwoWarps,
     OWN_WORD "setp.eq.u32 %p1, %r63, 1; @%p1 add.u64 %d2, %d2, 512; st.global.u32 [%d2], 7; membar.gl; bar.sync 0;"
              "setp.eq.u32 %p3, %r1, 0; @%p3 atom.global.add.u32 %r7, [%in], 1; @%p3 st.shared.u32 [%r0], %r7;"
              "bar.sync 0; ld.shared.u32 %r7, [%r0]; setp.ne.u32 %p2, %r7, 2; @%p2 bra end; membar.gl;"
              "xor.b64 %d3, %d2, 512; ld.global.u32 %r6, [%d3]; end:",
     OWN_WORD "setp.eq.u32 %p1, %r63, 1; @%p1 add.u64 %d2, %d2, 512; st.global.u32 [%d2], 7; bar.sync 0;"
              "setp.eq.u32 %p3, %r1, 0; @%p3 atom.global.add.u32 %r7, [%in], 1; @%p3 st.shared.u32 [%r0], %r7;"
              "bar.sync 0; ld.shared.u32 %r7, [%r0]; setp.ne.u32 %p2, %r7, 2; @%p2 bra end; membar.gl;"
              "xor.b64 %d3, %d2, 512; ld.global.u32 %r6, [%d3]; end:",
     Finding::race},
    {"ctas_of_a_cluster", kCluster,
     "mul.wide.u32 %d1, %r63, 4; add.u64 %d2, %out, %d1; st.global.u32 [%d2], 3;" CLUSTER_BARRIER
     "xor.b64 %d3, %d2, 4; ld.global.u32 %r2, [%d3];",
     "mul.wide.u32 %d1, %r63, 4; add.u64 %d2, %out, %d1; st.global.u32 [%d2], 3;"
     "xor.b64 %d3, %d2, 4; ld.global.u32 %r2, [%d3];",
     Finding::race},
    {"constant_load_of_what_is_written", kWarp, OWN_WORD "st.global.u32 [%d2], 3; ld.global.u32 %r2, [%d2];",
     OWN_WORD "st.global.u32 [%d2], 3; ld.global.nc.u32 %r2, [%d2];", Finding::race},
    {"bulk_store_signalled_when_it_has_only_read", kTwoCtas,
     CONSUMER_IS_CTA_1 THREAD_0 "st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;"
     "cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group;"
     "cp.async.bulk.wait_group 0; st.release.gpu.global.u32 [%in], 2; bra end;" SPIN(
         "ld.acquire.gpu.global.u32") "ld.global.u32 %r6, [%out]; end:",
     CONSUMER_IS_CTA_1 THREAD_0 "st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;"
     "cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group;"
     "cp.async.bulk.wait_group.read 0; st.release.gpu.global.u32 [%in], 2; bra end;" SPIN(
         "ld.acquire.gpu.global.u32") "ld.global.u32 %r6, [%out]; end:",
     Finding::race},
    {"bulk_load_of_what_threads_wrote", kWarp,
     THREAD_0 "mbarrier.init.shared.b64 [%r0+64], 1; st.global.v4.u32 [%out], {1, 2, 3, 4}; fence.proxy.async;"
              "mbarrier.arrive.expect_tx.shared.b64 _, [%r0+64], 16;"
              "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r0], [%out], 16, [%r0+64];"
              "wait: mbarrier.try_wait.parity.shared.b64 %p1, [%r0+64], 0; @!%p1 bra wait; end:",
     THREAD_0 "mbarrier.init.shared.b64 [%r0+64], 1; fence.proxy.async; st.global.v4.u32 [%out], {1, 2, 3, 4};"
              "mbarrier.arrive.expect_tx.shared.b64 _, [%r0+64], 16;"
              "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r0], [%out], 16, [%r0+64];"
              "wait: mbarrier.try_wait.parity.shared.b64 %p1, [%r0+64], 0; @!%p1 bra wait; end:",
     Finding::proxy},
    {"overwritten_while_cp_async_reads", kWarp,
     "mul.wide.u32 %d1, %r1, 4; add.u64 %d2, %in, %d1; shl.b32 %r2, %r1, 2; add.u32 %r2, %r2, %r0;"
     "cp.async.ca.shared.global [%r2], [%d2], 4; cp.async.wait_all; st.global.u32 [%d2], 5;",
     "mul.wide.u32 %d1, %r1, 4; add.u64 %d2, %in, %d1; shl.b32 %r2, %r1, 2; add.u32 %r2, %r2, %r0;"
     "cp.async.ca.shared.global [%r2], [%d2], 4; st.global.u32 [%d2], 5; cp.async.wait_all;",
     Finding::race},
};

// %r2: this lane's word; %r3: its neighbour's.
#define LANE_WORDS "shl.b32 %r2, %r1, 2; add.u32 %r2, %r2, %r0; xor.b32 %r3, %r2, 4;"
#define LANE_ROW "shl.b32 %r4, %r1, 4; add.u32 %r4, %r4, %r0; st.shared.v4.u32 [%r4], {%r1, %r1, %r1, %r1};"

const Pair kLanes[] = {
    {"store_and_load", kWarp, LANE_WORDS "st.shared.u32 [%r2], %r1; bar.warp.sync -1; ld.shared.u32 %r5, [%r3];",
     LANE_WORDS "st.shared.u32 [%r2], %r1; ld.shared.u32 %r5, [%r3];", Finding::race},
    {"load_and_store", kWarp,
     LANE_WORDS "st.shared.u32 [%r2], %r1; bar.warp.sync -1; ld.shared.u32 %r5, [%r3]; bar.warp.sync -1;"
                "st.shared.u32 [%r2], %r5;",
     LANE_WORDS "st.shared.u32 [%r2], %r1; bar.warp.sync -1; ld.shared.u32 %r5, [%r3]; st.shared.u32 [%r2], %r5;",
     Finding::race},
    {"halves_of_a_word", kWarp,
     "mov.u16 %h1, 1; shl.b32 %r2, %r1, 1; add.u32 %r2, %r2, %r0; st.shared.u16 [%r2], %h1; ld.shared.u16 %h2, [%r2];",
     "mov.u16 %h1, 1; shl.b32 %r2, %r1, 1; add.u32 %r2, %r2, %r0; st.shared.u16 [%r2], %h1; and.b32 %r3, %r2, -4;"
     "ld.shared.u32 %r4, [%r3];",
     Finding::race},
    {"one_lane_writes_for_all", kWarp,
     "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r0], 5; bar.warp.sync -1; ld.shared.u32 %r2, [%r0];",
     "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r0], 5; ld.shared.u32 %r2, [%r0];", Finding::race},
    {"shuffle_in_between", kWarp,
     LANE_WORDS "st.shared.u32 [%r2], %r1; shfl.sync.bfly.b32 %r6, %r1, 1, 31, -1; ld.shared.u32 %r5, [%r3];",
     LANE_WORDS "shfl.sync.bfly.b32 %r6, %r1, 1, 31, -1; st.shared.u32 [%r2], %r1; ld.shared.u32 %r5, [%r3];",
     Finding::race},
    {"halves_that_meet_apart", kWarp,
     LANE_WORDS "st.shared.u32 [%r2], %r1; setp.lt.u32 %p1, %r1, 16; @%p1 bra low; bar.warp.sync 0xffff0000;"
                "bra high; low: bar.warp.sync 0xffff; high: ld.shared.u32 %r5, [%r3];",
     LANE_WORDS "st.shared.u32 [%r2], %r1; setp.lt.u32 %p1, %r1, 16; @%p1 bra low; bar.warp.sync 0xffff0000;"
                "bra high; low: bar.warp.sync 0xffff; high: xor.b32 %r3, %r2, 64; ld.shared.u32 %r5, [%r3];",
     Finding::race},
    {"through_global_memory", kWarp,
     OWN_WORD "st.global.u32 [%d2], 5; bar.warp.sync -1; xor.b64 %d3, %d2, 4; ld.global.u32 %r2, [%d3];",
     OWN_WORD "st.global.u32 [%d2], 5; xor.b64 %d3, %d2, 4; ld.global.u32 %r2, [%d3];", Finding::race},
    {"matrices_are_loaded", kWarp,
     LANE_ROW "bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5, %r6, %r7, %r8}, [%r4];",
     LANE_ROW "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5, %r6, %r7, %r8}, [%r4];", Finding::race},
    {"matrices_are_stored", kWarp,
     LANE_ROW "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r4], {%r1, %r1, %r1, %r1}; bar.warp.sync -1;"
              "ld.shared.u32 %r5, [%r4];",
     LANE_ROW "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r4], {%r1, %r1, %r1, %r1}; ld.shared.u32 %r5, [%r4];",
     Finding::race},
    {"bulk_store_of_other_lanes_words", kWarp,
     LANE_WORDS "st.shared.u32 [%r2], %r1; fence.proxy.async.shared::cta; bar.warp.sync -1;" THREAD_0
                "cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 128; cp.async.bulk.commit_group;"
                "cp.async.bulk.wait_group.read 0; end:",
     LANE_WORDS "st.shared.u32 [%r2], %r1; fence.proxy.async.shared::cta;" THREAD_0
                "cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 128; cp.async.bulk.commit_group;"
                "cp.async.bulk.wait_group.read 0; end:",
     Finding::race},
    {"cp_async_of_another_lane", kWarp,
     LANE_WORDS "mul.wide.u32 %d1, %r1, 4; add.u64 %d2, %in, %d1; cp.async.ca.shared.global [%r2], [%d2], 4;"
                "cp.async.wait_all; bar.warp.sync -1; ld.shared.u32 %r5, [%r3];",
     LANE_WORDS "mul.wide.u32 %d1, %r1, 4; add.u64 %d2, %in, %d1; cp.async.ca.shared.global [%r2], [%d2], 4;"
                "cp.async.wait_all; ld.shared.u32 %r5, [%r3];",
     Finding::race},
};

// %r5: the same word as %r0 in the other CTA.
#define OTHER_CTA "mov.u32 %r4, %cluster_ctarank; xor.b32 %r4, %r4, 1; mapa.shared::cluster.u32 %r5, %r0, %r4;"

const Pair kLifetimes[] = {
    {"bulk_store_not_waited_for", kWarp,
     THREAD_0 "st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;"
              "cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group;"
              "cp.async.bulk.wait_group.read 0; end:",
     THREAD_0 "st.shared.v4.u32 [%r0], {1, 2, 3, 4}; fence.proxy.async.shared::cta;"
              "cp.async.bulk.global.shared::cta.bulk_group [%out], [%r0], 16; cp.async.bulk.commit_group; end:",
     Finding::lifetime},
    {"bulk_load_not_waited_for", kWarp,
     THREAD_0 "mbarrier.init.shared.b64 [%r0+64], 1; fence.proxy.async;"
              "mbarrier.arrive.expect_tx.shared.b64 _, [%r0+64], 16;"
              "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r0], [%in], 16, [%r0+64];"
              "wait: mbarrier.try_wait.parity.shared.b64 %p1, [%r0+64], 0; @!%p1 bra wait; end:",
     THREAD_0 "mbarrier.init.shared.b64 [%r0+64], 1; fence.proxy.async;"
              "mbarrier.arrive.expect_tx.shared.b64 _, [%r0+64], 16;"
              "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r0], [%in], 16, [%r0+64]; end:",
     Finding::lifetime},
    {"write_to_a_cta_that_may_have_exited", kCluster,
     OTHER_CTA CLUSTER_BARRIER "st.shared::cluster.u32 [%r5], 3;" CLUSTER_BARRIER,
     OTHER_CTA CLUSTER_BARRIER "st.shared::cluster.u32 [%r5], 3;", Finding::lifetime},
    {"read_of_a_cta_that_may_have_exited", kCluster,
     OTHER_CTA "st.shared.u32 [%r0], 3;" CLUSTER_BARRIER "ld.shared::cluster.u32 %r6, [%r5];" CLUSTER_BARRIER,
     OTHER_CTA "st.shared.u32 [%r0], 3;" CLUSTER_BARRIER "ld.shared::cluster.u32 %r6, [%r5];", Finding::lifetime},
    {"arrival_at_a_cta_that_may_have_exited", kCluster,
     OTHER_CTA "setp.eq.u32 %p3, %r1, 0; @%p3 mbarrier.init.shared.b64 [%r0], 1; fence.mbarrier_init.release.cluster;"
     CLUSTER_BARRIER "@%p3 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r5];"
     "wait: mbarrier.try_wait.parity.shared.b64 %p1, [%r0], 0; @!%p1 bra wait;",
     OTHER_CTA "setp.eq.u32 %p3, %r1, 0; @%p3 mbarrier.init.shared.b64 [%r0], 1; fence.mbarrier_init.release.cluster;"
     CLUSTER_BARRIER "@%p3 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r5];",
     Finding::lifetime},
    {"write_to_a_cta_that_may_not_have_started", kCluster,
     OTHER_CTA CLUSTER_BARRIER "st.shared::cluster.u32 [%r5], 3;" CLUSTER_BARRIER,
     OTHER_CTA "st.shared::cluster.u32 [%r5], 3;" CLUSTER_BARRIER, Finding::lifetime},
};

std::string name_of(const testing::TestParamInfo<Pair>& each) {
  return each.param.name;
}

INSTANTIATE_TEST_SUITE_P(GlobalMemory, Races, testing::ValuesIn(kGlobal), name_of);
INSTANTIATE_TEST_SUITE_P(LanesOfAWarp, Races, testing::ValuesIn(kLanes), name_of);
INSTANTIATE_TEST_SUITE_P(Lifetimes, Races, testing::ValuesIn(kLifetimes), name_of);

}  // namespace
}  // namespace emulator::test
