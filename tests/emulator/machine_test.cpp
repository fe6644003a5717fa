// Lanes, warps, CTAs and clusters together: divergence, exchange, matrices, atomics, concurrent CTAs, copies of
// tensors.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernel.h"
#include "machine/tensor_map.h"

namespace emulator::test {
namespace {

using machine::Finding;

/// One warp: %r1 is the lane, %r2 what in[lane] holds; %r0 is stored.
std::vector<uint32_t> by_lane(const std::string& body, std::vector<uint32_t> in = {}) {
  if (in.empty()) {
    in.resize(32);
    std::iota(in.begin(), in.end(), 0u);
  }
  Result result;
  const auto out = evaluate<uint32_t>(R"(
  mov.u32 %r1, %laneid;
  mul.wide.u32 %d1, %r1, 4;
  add.u64 %d2, %in, %d1;
  ld.global.u32 %r2, [%d2];
)" + body + R"(
  add.u64 %d3, %out, %d1;
  st.global.u32 [%d3], %r0;)",
                                      in, 32, &result);
  EXPECT_TRUE(result.clean()) << result.text();
  return out;
}

template <class F>
void expect_lanes(const std::vector<uint32_t>& out, F expected) {
  for (uint32_t lane = 0; lane < 32; ++lane)
    EXPECT_EQ(out[lane], static_cast<uint32_t>(expected(lane))) << "lane " << lane;
}

// 9.7.9.6
TEST(Warp, Shuffles) {
  expect_lanes(by_lane("shfl.sync.up.b32 %r0, %r2, 3, 0, -1;"), [](uint32_t l) { return l < 3 ? l : l - 3; });
  expect_lanes(by_lane("shfl.sync.down.b32 %r0, %r2, 5, 31, -1;"), [](uint32_t l) { return l + 5 > 31 ? l : l + 5; });
  expect_lanes(by_lane("shfl.sync.bfly.b32 %r0, %r2, 16, 31, -1;"), [](uint32_t l) { return l ^ 16; });
  expect_lanes(by_lane("shfl.sync.idx.b32 %r0, %r2, 7, 31, -1;"), [](uint32_t) { return 7; });
  // Segments of 8 lanes: c = 0x181f.
  expect_lanes(by_lane("shfl.sync.idx.b32 %r0, %r2, 3, 0x181f, -1;"), [](uint32_t l) { return (l & 24) + 3; });
  expect_lanes(by_lane("shfl.sync.down.b32 %r3|%p1, %r2, 5, 31, -1; selp.u32 %r0, 1, 0, %p1;"),
               [](uint32_t l) { return l + 5 <= 31; });
}

TEST(Warp, VotesElectionsAndReductions) {
  const std::string odd = "and.b32 %r3, %r1, 1; setp.eq.u32 %p1, %r3, 1; ";
  expect_lanes(by_lane(odd + "vote.sync.ballot.b32 %r0, %p1, -1;"), [](uint32_t) { return 0xaaaaaaaau; });
  expect_lanes(by_lane(odd + "vote.sync.any.pred %p2, %p1, -1; selp.u32 %r0, 1, 0, %p2;"), [](uint32_t) { return 1; });
  expect_lanes(by_lane(odd + "vote.sync.all.pred %p2, %p1, -1; selp.u32 %r0, 1, 0, %p2;"), [](uint32_t) { return 0; });
  expect_lanes(by_lane(odd + "vote.sync.uni.pred %p2, !%p1, -1; selp.u32 %r0, 1, 0, %p2;"), [](uint32_t) { return 0; });
  expect_lanes(by_lane("elect.sync %r0|%p1, -1; @%p1 add.u32 %r0, %r0, 100;"),
               [](uint32_t l) { return l == 0 ? 100 : 0; });
  expect_lanes(by_lane("redux.sync.add.u32 %r0, %r2, -1;"), [](uint32_t) { return 496; });
  expect_lanes(by_lane("sub.s32 %r2, %r2, 5; redux.sync.min.s32 %r0, %r2, -1;"), [](uint32_t) { return 0xfffffffbu; });
  expect_lanes(by_lane("redux.sync.xor.b32 %r0, %r2, -1;"), [](uint32_t) { return 0; });
  expect_lanes(by_lane("shr.u32 %r3, %r2, 3; match.any.sync.b32 %r0, %r3, -1;"),
               [](uint32_t lane) { return 0xffu << (lane / 8 * 8); });
  expect_lanes(by_lane("cvt.u64.u32 %d3, %r2; shl.b64 %d3, %d3, 63; match.any.sync.b64 %r0, %d3, -1;"),
               [](uint32_t lane) { return lane % 2 == 0 ? 0x55555555u : 0xaaaaaaaau; });
  expect_lanes(by_lane("match.all.sync.b32 %r0|%p1, %r2, -1; @%p1 mov.u32 %r0, 7;"), [](uint32_t) { return 0; });
  expect_lanes(by_lane("shr.u32 %r3, %r2, 5; match.all.sync.b32 %r0|%p1, %r3, -1; @!%p1 mov.u32 %r0, 7;"),
               [](uint32_t) { return UINT32_MAX; });
}

TEST(Warp, DivergesAndComesTogether) {
  // Every lane loops as often as its number says; the ballot behind it needs all of them.
  expect_lanes(by_lane(R"(
  mov.u32 %r0, 0;
  mov.u32 %r3, 0;
loop:
  setp.ge.u32 %p1, %r3, %r1;
  @%p1 bra done;
  add.u32 %r0, %r0, %r3;
  add.u32 %r3, %r3, 1;
  bra loop;
done:
  setp.eq.u32 %p2, 0, 0;
  vote.sync.ballot.b32 %r4, %p2, -1;
  setp.ne.u32 %p3, %r4, 0xffffffff;
  @%p3 mov.u32 %r0, 9999;)"),
               [](uint32_t l) { return l == 0 ? 0 : l * (l - 1) / 2; });
}

TEST(Warp, LanesWaitForLanesOfTheSameWarp) {
  // Lane 0 spins until lane 31 has stored: lanes of a warp make progress on their own.
  expect_lanes(by_lane(R"(
  mov.u32 %r0, 1;
  setp.ne.u32 %p1, %r1, 0;
  @%p1 bra other;
spin:
  ld.volatile.global.u32 %r3, [%in];
  setp.ne.u32 %p2, %r3, 77;
  @%p2 bra spin;
  bra done;
other:
  setp.ne.u32 %p3, %r1, 31;
  @%p3 bra done;
  mov.u32 %r4, 77;
  st.volatile.global.u32 [%in], %r4;
done:)"),
               [](uint32_t) { return 1; });
}

// 9.7.14.5.15: lane l gets elements 2 (l % 4) and the next of row l / 4.
TEST(Warp, LoadsAndStoresMatrices) {
  const std::string fill = R"(
  .shared .align 16 .b8 tile[512];
  mov.u32 %r3, tile;
  shl.b32 %r4, %r1, 2;
  add.u32 %r5, %r3, %r4;
  shl.b32 %r6, %r1, 1;
  add.u32 %r7, %r6, 1;
  shl.b32 %r7, %r7, 16;
  or.b32 %r6, %r6, %r7;
  st.shared.u32 [%r5], %r6;
  bar.warp.sync -1;
  and.b32 %r8, %r1, 7;
  shl.b32 %r8, %r8, 4;
  add.u32 %r8, %r8, %r3;
)";
  // Element e of the tile is e: row e / 8, column e % 8.
  expect_lanes(by_lane(fill + "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%r8];"),
               [](uint32_t l) { return (l / 4 * 8 + l % 4 * 2) | (l / 4 * 8 + l % 4 * 2 + 1) << 16; });
  expect_lanes(by_lane(fill + "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r0}, [%r8];"),
               [](uint32_t l) { return (l % 4 * 16 + l / 4) | (l % 4 * 16 + 8 + l / 4) << 16; });
  expect_lanes(by_lane(fill + R"(
  ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r9}, [%r8];
  stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%r8+128], {%r9};
  bar.warp.sync -1;
  ld.shared.u32 %r0, [%r5+128];)"),
               [](uint32_t l) { return (l % 4 * 16 + l / 4) | (l % 4 * 16 + 8 + l / 4) << 16; });
}

// 9.7.13.5
TEST(Atomics, CombineAllThreads) {
  Kernel kernel(kernel_text(R"(
  mov.u32 %r1, %tid.x;
  atom.global.add.u32 %r2, [%out], 3;
  red.global.max.s32 [%out+4], %r1;
  red.global.add.f32 [%out+8], 0f3F800000;
  atom.global.inc.u32 %r3, [%out+12], 9;
  atom.global.cas.b32 %r4, [%out+16], 0, %r1;
  red.global.add.u64 [%out+24], 0x100000000;
  mul.wide.u32 %d1, %r1, 4;
  add.u64 %d1, %d1, %in;
  st.global.u32 [%d1], %r2;)"));
  const uint64_t out = kernel.upload(std::vector<uint32_t>(8, 0));
  const uint64_t before = kernel.memory.allocate(4 * 64);
  kernel.argument(out);
  kernel.argument(before);
  kernel.shape.block = {64, 1, 1};
  const Result result = kernel.run();
  ASSERT_TRUE(result.clean()) << result.text();
  const auto got = kernel.download<uint32_t>(out, 8);
  EXPECT_EQ(got[0], 192u);
  EXPECT_EQ(got[1], 63u);
  EXPECT_EQ(got[2], 0x42800000u);  // 64
  EXPECT_EQ(got[3], 4u);           // counts 0 to 9
  EXPECT_EQ(got[7], 64u);
  auto seen = kernel.download<uint32_t>(before, 64);
  std::sort(seen.begin(), seen.end());
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(seen[i], 3 * i);
}

TEST(Grid, CtasRunAtTheSameTime) {
  // Every CTA waits until all have arrived.
  Kernel kernel(kernel_text(R"(
  mov.u32 %r1, %nctaid.x;
  red.release.gpu.global.add.u32 [%in], 1;
wait:
  ld.acquire.gpu.global.u32 %r2, [%in];
  setp.lt.u32 %p1, %r2, %r1;
  @%p1 bra wait;
  mov.u32 %r3, %ctaid.x;
  mul.wide.u32 %d1, %r3, 4;
  add.u64 %d1, %d1, %out;
  st.global.u32 [%d1], %r2;)"));
  const uint64_t out = kernel.memory.allocate(4 * 20);
  kernel.argument(out);
  kernel.argument(kernel.upload(std::vector<uint32_t>(1, 0)));
  kernel.shape.grid = {20, 1, 1};
  const Result result = kernel.run();
  ASSERT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(kernel.download<uint32_t>(out, 20), std::vector<uint32_t>(20, 20));
}

// Each CTA of a pair reads what the other wrote into its own shared memory.
constexpr const char* kPair = R"(
  .shared .align 16 .b32 word[4];
  mov.u32 %r1, %cluster_ctarank;
  add.u32 %r2, %r1, 50;
  mov.u32 %r3, word;
  st.shared.u32 [%r3], %r2;
  barrier.cluster.arrive.release.aligned;
  barrier.cluster.wait.acquire.aligned;
  xor.b32 %r4, %r1, 1;
  mapa.shared::cluster.u32 %r5, %r3, %r4;
  ld.shared::cluster.u32 %r6, [%r5];
  mov.u32 %r7, %ctaid.x;
  mul.wide.u32 %d1, %r7, 4;
  add.u64 %d1, %d1, %out;
  st.global.u32 [%d1], %r6;
  barrier.cluster.arrive.release.aligned;
  barrier.cluster.wait.acquire.aligned;)";

TEST(Cluster, SharesMemory) {
  Kernel kernel(kernel_text(kPair));
  const uint64_t out = kernel.memory.allocate(16);
  kernel.argument(out);
  kernel.argument(uint64_t{0});
  kernel.shape = {{4, 1, 1}, {32, 1, 1}, {2, 1, 1}, 0};
  const Result result = kernel.run();
  ASSERT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(kernel.download<uint32_t>(out, 4), (std::vector<uint32_t>{51, 50, 51, 50}));
}

TEST(Cluster, FindsAMissingBarrier) {
  std::string text = kPair;
  const std::string barrier = "  barrier.cluster.arrive.release.aligned;\n  barrier.cluster.wait.acquire.aligned;\n";
  text.erase(text.find(barrier), barrier.size());
  bool found = false;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Kernel kernel(kernel_text(text));
    kernel.argument(kernel.memory.allocate(16));
    kernel.argument(uint64_t{0});
    kernel.shape = {{2, 1, 1}, {32, 1, 1}, {2, 1, 1}, 0};
    kernel.options.seed = seed;
    const Result result = kernel.run();
    found |= result.found(Finding::race);
  }
  EXPECT_TRUE(found);
}

TEST(Cluster, ReceivesMulticastCopies) {
  Kernel kernel(kernel_text(R"(
  .shared .align 128 .b8 data[16];
  .shared .align 8 .b64 full;
  mov.u32 %r1, data;
  mov.u32 %r2, full;
  mov.u32 %r3, %cluster_ctarank;
  mbarrier.init.shared::cta.b64 [%r2], 1;
  fence.mbarrier_init.release.cluster;
  mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r2], 16;
  barrier.cluster.arrive.release.aligned;
  barrier.cluster.wait.acquire.aligned;
  mov.u16 %h1, 3;
  setp.eq.u32 %p1, %r3, 0;
  @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r1], [%in], 16, [%r2], %h1;
wait:
  mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r2], 0;
  @!%p2 bra wait;
  ld.shared.u32 %r4, [%r1+12];
  mul.wide.u32 %d1, %r3, 4;
  add.u64 %d1, %d1, %out;
  st.global.u32 [%d1], %r4;)"));
  const uint64_t out = kernel.memory.allocate(8);
  kernel.argument(out);
  kernel.argument(kernel.upload(std::vector<uint32_t>{1, 2, 3, 4}));
  kernel.shape = {{2, 1, 1}, {1, 1, 1}, {2, 1, 1}, 0};
  const Result result = kernel.run();
  ASSERT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(kernel.download<uint32_t>(out, 2), (std::vector<uint32_t>{4, 4}));
  EXPECT_EQ(result.counters.bulk_load_bytes, 32u);
}

struct Box {
  std::array<uint64_t, 3> extents;  // of u32 elements
  std::array<uint16_t, 3> box;
  std::array<int32_t, 3> at;
  machine::Swizzle swizzle;
};

/// Loads a box, and stores it to the same place of a second tensor.
void copy_box(const Box& b) {
  Kernel kernel(module_text(R"(
.entry copy(.param .align 64 .b8 from[128], .param .align 64 .b8 to[128], .param .u64 out, .param .u32 x, .param .u32 y,
            .param .u32 z, .param .u32 bytes) {
  .reg .pred %p<2>; .reg .b32 %r<12>; .reg .b64 %d<8>;
  .shared .align 1024 .b8 box[16384];
  .shared .align 8 .b64 full;
  mov.u32 %r0, box;
  mov.u32 %r1, full;
  ld.param.u32 %r2, [x];
  ld.param.u32 %r3, [y];
  ld.param.u32 %r4, [z];
  ld.param.u32 %r5, [bytes];
  ld.param.u64 %d3, [out];
  mov.u64 %d0, from;
  cvta.param.u64 %d0, %d0;
  mov.u64 %d1, to;
  cvta.param.u64 %d1, %d1;
  mbarrier.init.shared.b64 [%r1], 1;
  fence.proxy.async;
  mbarrier.arrive.expect_tx.shared.b64 _, [%r1], %r5;
  cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r0], [%d0, {%r2, %r3, %r4}], [%r1];
wait:
  mbarrier.try_wait.parity.shared.b64 %p0, [%r1], 0;
  @!%p0 bra wait;
  cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%d1, {%r2, %r3, %r4}], [%r0];
  cp.async.bulk.global.shared::cta.bulk_group [%d3], [%r0], %r5;
  cp.async.bulk.commit_group;
  cp.async.bulk.wait_group 0;
  ret;
})"));
  const auto count = static_cast<size_t>(b.extents[0] * b.extents[1] * b.extents[2]);
  std::vector<uint32_t> values(count);
  std::iota(values.begin(), values.end(), 1000u);
  machine::TensorMap map;
  map.rank = 3;
  map.element_bytes = 4;
  map.swizzle = b.swizzle;
  uint32_t bytes = 4;
  for (size_t i = 0; i < 3; ++i) {
    map.extents[i] = b.extents[i];
    map.box[i] = b.box[i];
    map.steps[i] = 1;
    bytes *= b.box[i];
  }
  map.strides[0] = b.extents[0] * 4;
  map.strides[1] = map.strides[0] * b.extents[1];
  struct Bytes {
    uint8_t all[128] = {};
  } from, to;
  map.address = kernel.upload(values);
  std::memcpy(from.all, &map, sizeof(map));
  map.address = kernel.upload(std::vector<uint32_t>(count, 0));
  std::memcpy(to.all, &map, sizeof(map));
  const uint64_t image = kernel.memory.allocate(bytes);
  kernel.argument(from);
  kernel.argument(to);
  kernel.argument(image);
  for (const int32_t coordinate : b.at) kernel.argument(coordinate);
  kernel.argument(bytes);
  const Result result = kernel.run();
  ASSERT_TRUE(result.clean()) << result.text();
  const auto stored = kernel.download<uint32_t>(map.address, count);
  const auto in_shared = kernel.download<uint32_t>(image, bytes / 4);
  std::vector<uint32_t> expected(count, 0);
  const uint32_t row_bytes = b.box[0] * 4u;
  for (uint32_t z = 0; z < b.box[2]; ++z) {
    for (uint32_t y = 0; y < b.box[1]; ++y) {
      for (uint32_t x = 0; x < b.box[0]; ++x) {
        const int64_t at[3] = {b.at[0] + static_cast<int64_t>(x), b.at[1] + static_cast<int64_t>(y),
                               b.at[2] + static_cast<int64_t>(z)};
        bool inside = true;
        for (size_t i = 0; i < 3; ++i) inside &= at[i] >= 0 && at[i] < static_cast<int64_t>(b.extents[i]);
        uint32_t value = 0;  // outside the tensor
        if (inside) {
          const auto index = static_cast<size_t>(
              (at[2] * static_cast<int64_t>(b.extents[1]) + at[1]) * static_cast<int64_t>(b.extents[0]) + at[0]);
          value = values[index];
          expected[index] = value;
        }
        // 5.5.7: within 8 lines of 128 bytes the chunks of 16 bytes change places.
        const uint32_t offset = (z * b.box[1] + y) * row_bytes + x * 4;
        const uint32_t line = offset / 128 % 8, chunk = offset / 16 % 8;
        const uint32_t twist = b.swizzle == machine::Swizzle::bytes128  ? line
                               : b.swizzle == machine::Swizzle::bytes64 ? line % 4
                               : b.swizzle == machine::Swizzle::bytes32 ? line % 2
                                                                        : 0;
        const uint32_t place = offset / 128 * 128 + (chunk ^ twist) * 16 + offset % 16;
        ASSERT_EQ(in_shared[place / 4], value) << x << ' ' << y << ' ' << z;
      }
    }
  }
  EXPECT_EQ(stored, expected);
}

TEST(Tensors, BoxesGoThereAndBack) {
  using machine::Swizzle;
  copy_box({{64, 10, 3}, {32, 8, 2}, {32, 2, 1}, Swizzle::bytes128});
  copy_box({{64, 10, 3}, {16, 8, 2}, {16, 0, 0}, Swizzle::bytes64});
  copy_box({{64, 10, 3}, {8, 16, 1}, {8, 0, 2}, Swizzle::bytes32});
  copy_box({{64, 10, 3}, {64, 4, 3}, {0, 3, 0}, Swizzle::none});
}

TEST(Tensors, BoxesOverTheEdgeReadZerosAndWriteNothing) {
  using machine::Swizzle;
  copy_box({{64, 10, 3}, {32, 8, 2}, {48, 6, 2}, Swizzle::bytes128});
  copy_box({{64, 10, 3}, {32, 8, 2}, {-16, -3, -1}, Swizzle::bytes128});
  copy_box({{64, 10, 3}, {16, 4, 1}, {100, 0, 0}, Swizzle::bytes64});
}

TEST(Counters, CountWavefrontsAndSectors) {
  const auto counted = [](const char* body) {
    Result result;
    evaluate<uint32_t>(
        std::string(".shared .align 16 .b8 s[4096]; mov.u32 %r1, %laneid; mov.u32 %r2, s; mov.u32 %r9, 0;") + body,
        std::vector<uint32_t>(1024, 1), 1024, &result);
    EXPECT_TRUE(result.clean()) << result.text();
    return result.counters;
  };
  const auto line = counted("shl.b32 %r3, %r1, 2; add.u32 %r3, %r3, %r2; st.shared.u32 [%r3], %r9;");
  EXPECT_EQ(line.shared_wavefronts, 1u);
  const auto conflict = counted("shl.b32 %r3, %r1, 7; add.u32 %r3, %r3, %r2; st.shared.u32 [%r3], %r9;");
  EXPECT_EQ(conflict.shared_wavefronts, 32u);  // all in one bank
  EXPECT_EQ(conflict.shared_ideal_wavefronts, 1u);
  const auto together = counted("mul.wide.u32 %d1, %r1, 4; add.u64 %d1, %d1, %in; ld.global.u32 %r3, [%d1];");
  EXPECT_EQ(together.global_load_sectors, 4u);
  const auto apart = counted("mul.wide.u32 %d1, %r1, 128; add.u64 %d1, %d1, %in; ld.global.u32 %r3, [%d1];");
  EXPECT_EQ(apart.global_load_sectors, 32u);
}

}  // namespace
}  // namespace emulator::test
