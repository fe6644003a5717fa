// Replays of traces whose times can be added up by hand.
#include <gtest/gtest.h>

#include "hand_trace.h"

namespace emulator::test {
namespace {

using clock::Kind;
using clock::StepKind;
using clock::Unit;

constexpr uint32_t kBarrier = 1024;  // shared address

double unit_latency(const clock::Parameters& p, Unit unit) {
  return p.units[static_cast<size_t>(unit)].latency;
}

TEST(ClockReplay, DependentInstructionsTakeTheirLatency) {
  const clock::Parameters p = plain_chip();
  HandTrace hand({1, 1, 1}, 1);
  hand.run(0, 0, hand.instruction(Unit::fma, {0}, {0}), 100);
  EXPECT_DOUBLE_EQ(clocks_of({&hand.finish()}, p), 100 * 4);
}

TEST(ClockReplay, IndependentInstructionsTakeAnIssueSlot) {
  HandTrace hand({1, 1, 1}, 1);
  hand.run(0, 0, hand.instruction(Unit::fma, {0}, {1}), 100);
  EXPECT_DOUBLE_EQ(clocks_of({&hand.finish()}, plain_chip()), 99 + 4);
}

// Warps 0 and 4 share a part of the SM, and so its unit of eight clocks; warps 0 and 1 do not.
TEST(ClockReplay, WarpsOfAPartShareItsUnits) {
  for (const uint32_t other : {1u, 4u}) {
    HandTrace hand({1, 1, 1}, 8);
    const uint32_t op = hand.instruction(Unit::transcendental, {0}, {1});
    hand.run(0, 0, op, 50);
    hand.run(0, other, op, 50);
    const double expected = (other == 4 ? 99 : 49) * 8 + 20;
    EXPECT_NEAR(clocks_of({&hand.finish()}, plain_chip()), expected, 1) << "warp " << other;
  }
}

// 36 products of 64 columns with both factors in shared memory, as scores are made: 32 clocks each.
TEST(ClockReplay, TensorCoresTakeHalfAClockAColumn) {
  HandTrace hand({1, 1, 1}, 4);
  const uint32_t op = hand.wgmma(64, false);
  for (uint32_t warp = 0; warp < 4; ++warp) {
    for (int i = 0; i < 36; ++i) hand.step(0, warp, {op, 1, StepKind::wgmma, 0, 0});
  }
  const clock::Parameters p = plain_chip();
  const auto figures = figures_of({&hand.finish()}, p);
  EXPECT_NEAR(figures[0].tensor * 132 * figures[0].end, 36 * 32, 1);
  // The last one is taken as soon as the one before it has started; nobody waits for its end.
  EXPECT_DOUBLE_EQ(figures[0].end, 1 + 34 * 32 + p.wgmma_issue);
}

/// A warp that has boxes of 8 KiB brought into `stages` places, and one that frees them.
double ring_clocks(uint32_t stages, uint32_t boxes, const clock::Parameters& p) {
  HandTrace hand({1, 1, 1}, 2);
  const uint32_t op = hand.instruction(Unit::alu, {}, {}, Kind::mbarrier_wait);
  const auto full = [](uint32_t stage) { return kBarrier + 8 * stage; };
  const auto empty = [](uint32_t stage) { return kBarrier + 1024 + 8 * stage; };
  for (uint32_t i = 0; i < stages; ++i) {
    hand.step(0, 0, {op, 1, StepKind::mbarrier_init, full(i), 1});
    hand.step(0, 0, {op, 1, StepKind::mbarrier_init, empty(i), 1});
  }
  for (uint32_t warp = 0; warp < 2; ++warp) hand.step(0, warp, {op, 2, StepKind::barrier_sync, 0, 0});
  for (uint32_t i = 0; i < boxes; ++i) {
    const uint32_t stage = i % stages, round = i / stages;
    hand.step(0, 0, {op, 1, StepKind::mbarrier_wait, empty(stage), (round & 1) ^ 1});
    hand.step(0, 0, {op, 1, StepKind::mbarrier_arrive, full(stage), 8192});
    hand.step(0, 0, {op, 1, StepKind::load_copy, hand.copy(64 * i, 8192, full(stage)), 0});
    hand.step(0, 1, {op, 1, StepKind::mbarrier_wait, full(stage), round & 1});
    hand.step(0, 1, {op, 1, StepKind::mbarrier_arrive, empty(stage), 0});
  }
  return clocks_of({&hand.finish()}, p);
}

TEST(ClockReplay, ALongRingIsBoundByTheSmsWidth) {
  const clock::Parameters p = plain_chip();
  const double a_box = 8192 / p.l2_bytes_an_sm;  // 128
  const double time = ring_clocks(16, 200, p);
  EXPECT_GT(time, 200 * a_box);
  EXPECT_LT(time, 200 * a_box + p.copy_miss + 200);
}

TEST(ClockReplay, AShortRingIsBoundByLatency) {
  const clock::Parameters p = plain_chip();
  // From a box's start to the next one's: the memory's latency, two waits and what issues in between.
  const double a_box = p.copy_miss + 2 * p.mbarrier + p.copy_issue;
  EXPECT_NEAR(ring_clocks(1, 200, p) / 200, a_box, 10);
}

TEST(ClockReplay, ManySmsAreBoundByHbm) {
  clock::Parameters p = plain_chip();
  p.hbm_bytes_per_second = 1000 * p.clock_hz;
  p.sms = 8;
  HandTrace hand({8, 1, 1}, 1);
  const uint32_t op = hand.instruction(Unit::alu, {}, {}, Kind::bulk_copy);
  for (uint32_t cta = 0; cta < 8; ++cta) {
    hand.step(cta, 0, {op, 1, StepKind::mbarrier_init, kBarrier, 1});
    hand.step(cta, 0, {op, 1, StepKind::mbarrier_arrive, kBarrier, 100 * 8192});
    for (uint32_t i = 0; i < 100; ++i)
      hand.step(cta, 0, {op, 1, StepKind::load_copy, hand.copy((cta * 100 + i) * 64, 8192, kBarrier), 0});
    hand.step(cta, 0, {op, 1, StepKind::mbarrier_wait, kBarrier, 0});
  }
  // 512 bytes a clock would pass through the SMs.
  p.l2_bytes_an_sm = 1024;
  const auto figures = figures_of({&hand.finish()}, p);
  EXPECT_DOUBLE_EQ(figures[0].hbm_bytes, 8 * 100 * 8192);
  EXPECT_NEAR(figures[0].end, 8 * 100 * 8192 / 1000.0 + p.copy_miss, 100);
}

TEST(ClockReplay, WhatL2HoldsIsNotFetchedAgain) {
  clock::Parameters p = plain_chip();
  p.sms = 2;
  HandTrace hand({2, 1, 1}, 1);
  const uint32_t op = hand.instruction(Unit::alu, {}, {}, Kind::bulk_copy);
  for (uint32_t cta = 0; cta < 2; ++cta) {
    hand.step(cta, 0, {op, 1, StepKind::mbarrier_init, kBarrier, 1});
    hand.step(cta, 0, {op, 1, StepKind::mbarrier_arrive, kBarrier, 8192});
    hand.step(cta, 0, {op, 1, StepKind::load_copy, hand.copy(0, 8192, kBarrier), 0});
    hand.step(cta, 0, {op, 1, StepKind::mbarrier_wait, kBarrier, 0});
  }
  const clock::LaunchTrace& trace = hand.finish();
  const auto figures = figures_of({&trace, &trace}, p);
  EXPECT_DOUBLE_EQ(figures[0].l2_bytes, 2 * 8192);
  EXPECT_DOUBLE_EQ(figures[0].hbm_bytes, 8192);
  EXPECT_DOUBLE_EQ(figures[1].hbm_bytes, 0) << "L2 is carried from launch to launch";
}

// Two CTAs need the same 8 KiB: each brings half of them to both, or each brings all of them.
TEST(ClockReplay, MulticastHalvesWhatL2Gives) {
  for (const bool multicast : {false, true}) {
    HandTrace hand({2, 1, 1}, 1, 2);
    const uint32_t op = hand.instruction(Unit::alu, {}, {}, Kind::bulk_copy);
    for (uint32_t cta = 0; cta < 2; ++cta) {
      hand.step(cta, 0, {op, 1, StepKind::mbarrier_init, cta << 24 | kBarrier, 1});
      hand.step(cta, 0, {op, 1, StepKind::mbarrier_arrive, cta << 24 | kBarrier, 8192});
      hand.step(cta, 0, {op, 1, StepKind::cluster_arrive, 0, 0});
      hand.step(cta, 0, {op, 1, StepKind::cluster_wait, 0, 0});
      const uint32_t copy = multicast ? hand.copy(cta * 32, 4096, kBarrier, 3)
                                      : hand.copy(0, 8192, kBarrier, static_cast<uint16_t>(1 << cta));
      hand.step(cta, 0, {op, 1, StepKind::load_copy, copy, 0});
      hand.step(cta, 0, {op, 1, StepKind::mbarrier_wait, cta << 24 | kBarrier, 0});
    }
    const auto figures = figures_of({&hand.finish()}, plain_chip());
    EXPECT_DOUBLE_EQ(figures[0].l2_bytes, multicast ? 8192 : 2 * 8192);
  }
}

TEST(ClockReplay, AnArrivalInAnotherCtaTakesTheClustersLatency) {
  const clock::Parameters p = plain_chip();
  HandTrace hand({2, 1, 1}, 1, 2);
  const uint32_t op = hand.instruction(Unit::alu, {}, {}, Kind::mbarrier_arrive);
  hand.step(0, 0, {op, 1, StepKind::mbarrier_init, kBarrier, 1});
  hand.step(0, 0, {op, 1, StepKind::mbarrier_wait, kBarrier, 0});
  hand.step(1, 0, {op, 1, StepKind::mbarrier_arrive, kBarrier, 0});  // of rank 0
  EXPECT_NEAR(clocks_of({&hand.finish()}, p), p.remote_latency + p.mbarrier, 4);
}

TEST(ClockReplay, CtasThatDoNotFitWaitForTheirTurn) {
  clock::Parameters p = plain_chip();
  p.sms = 4;
  HandTrace hand({12, 1, 1}, 1);
  hand.trace().shared_bytes = 200'000;  // one an SM
  const uint32_t op = hand.instruction(Unit::fma, {0}, {0});
  for (uint32_t cta = 0; cta < 12; ++cta) hand.run(cta, 0, op, 100);
  EXPECT_DOUBLE_EQ(clocks_of({&hand.finish()}, p), 3 * 400 + 2 * p.cta_next);
  hand.trace().shared_bytes = 70'000;  // three
  EXPECT_NEAR(clocks_of({&hand.finish()}, p), 400, 5 * 3);
}

TEST(ClockReplay, RegistersLimitResidency) {
  clock::Parameters p = plain_chip();
  p.sms = 1;
  HandTrace hand({2, 1, 1}, 8);
  const uint32_t op = hand.instruction(Unit::fma, {0}, {0});
  for (uint32_t cta = 0; cta < 2; ++cta) hand.run(cta, 0, op, 100);
  hand.trace().registers = 128;
  EXPECT_NEAR(clocks_of({&hand.finish()}, p), 400, 20) << "together, at one part of the SM";
  hand.trace().registers = 168;
  EXPECT_DOUBLE_EQ(clocks_of({&hand.finish()}, p), 2 * 400 + p.cta_next);
}

TEST(ClockReplay, AClusterStaysInItsGroup) {
  clock::Parameters p = plain_chip();
  p.sms = 6;
  p.sm_groups = {3, 3};  // room for a cluster of two in each
  HandTrace hand({6, 1, 1}, 1, 2);
  hand.trace().shared_bytes = 200'000;
  const uint32_t op = hand.instruction(Unit::fma, {0}, {0});
  for (uint32_t cta = 0; cta < 6; ++cta) hand.run(cta, 0, op, 100);
  EXPECT_DOUBLE_EQ(clocks_of({&hand.finish()}, p), 2 * 400 + p.cta_next);
}

// A launch of a prologue and work that needs the launch before it: 4,000 clocks of either.
TEST(ClockReplay, AProgrammaticLaunchOverlaps) {
  const clock::Parameters p = plain_chip();
  HandTrace first({1, 1, 1}, 1), second({1, 1, 1}, 1);
  const uint32_t trigger = first.instruction(Unit::free, {}, {}, Kind::dependents);
  first.step(0, 0, {trigger, 1, StepKind::dependents, 0, 0});
  first.run(0, 0, first.instruction(Unit::branch, {}, {}), 1000);
  const uint32_t wait = second.instruction(Unit::free, {}, {}, Kind::dependency_wait);
  const uint32_t branch = second.instruction(Unit::branch, {}, {});
  second.run(0, 0, branch, 300);
  second.step(0, 0, {wait, 1, StepKind::dependency_wait, 0, 0});
  second.run(0, 0, branch, 100);
  const double branch_clocks = 1 + unit_latency(p, Unit::branch);
  const double one = clocks_of({&first.finish()}, p);
  EXPECT_NEAR(one, 1000 * branch_clocks, 2);
  const double apart = clocks_of({&first.trace(), &second.finish()}, p);
  EXPECT_NEAR(apart, one + p.dependency_wait + 400 * branch_clocks - p.dependency_wait, 2 * 100);
  second.trace().is_programmatic = true;
  EXPECT_NEAR(clocks_of({&first.trace(), &second.trace()}, p), one + p.dependency_wait + 100 * branch_clocks, 2);
}

TEST(ClockReplay, SaysWhyItCannotGoOn) {
  HandTrace hand({1, 1, 1}, 1);
  const uint32_t op = hand.instruction(Unit::alu, {}, {}, Kind::mbarrier_wait);
  hand.step(0, 0, {op, 1, StepKind::mbarrier_init, kBarrier, 1});
  hand.step(0, 0, {op, 1, StepKind::mbarrier_wait, kBarrier, 0});
  clock::Gpu gpu(plain_chip());
  const auto stuck = gpu.replay({&hand.finish()});
  ASSERT_TRUE(std::holds_alternative<std::string>(stuck));
  EXPECT_NE(std::get<std::string>(stuck).find("waits for mbarrier"), std::string::npos) << std::get<std::string>(stuck);
  hand.trace().shared_bytes = 300'000;
  EXPECT_TRUE(std::holds_alternative<std::string>(gpu.replay({&hand.finish()})));
}

}  // namespace
}  // namespace emulator::test
