// What single instructions compute. Expected values are written down from the PTX ISA manual, version 9.0 (sections in
// the comments), not from the emulator.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <ostream>

#include "kernel.h"

namespace emulator::test {
namespace {

constexpr uint32_t kOne = 0x3f800000, kNan = 0x7fffffff, kInfinity = 0x7f800000;

uint32_t bits(float value) {
  return std::bit_cast<uint32_t>(value);
}

struct Case {
  const char* instruction;  // from %r1, %r2, %r3 into %r0
  std::array<uint32_t, 3> in;
  uint32_t expected;
};

std::ostream& operator<<(std::ostream& out, const Case& each) {
  return out << each.instruction << std::hex << " of 0x" << each.in[0] << ", 0x" << each.in[1] << ", 0x" << each.in[2];
}

/// Lane 0 computes, lanes 1 to 31 must be left alone: the whole runs under a guard as well.
void check(const Case& each) {
  Result result;
  const std::string body = std::string(R"(
  ld.global.u32 %r1, [%in];
  ld.global.u32 %r2, [%in+4];
  ld.global.u32 %r3, [%in+8];
  mov.u32 %r0, 0x5a5a5a5a;
  mov.u32 %r60, %laneid;
  cvt.u16.u32 %h1, %r1;
  cvt.u16.u32 %h2, %r2;
  cvt.u16.u32 %h3, %r3;
  mov.b64 %d1, {%r1, %r2};
  cvt.u64.u32 %d2, %r3;
  )") + each.instruction + R"(
  mul.wide.u32 %d60, %r60, 4;
  add.u64 %d60, %d60, %out;
  st.global.u32 [%d60], %r0;)";
  const std::vector<uint32_t> in(each.in.begin(), each.in.end());
  const auto out = evaluate<uint32_t>(body, in, 32, &result);
  EXPECT_TRUE(result.clean()) << each << ": " << result.text();
  for (const uint32_t lane : {0u, 17u, 31u}) {
    EXPECT_EQ(out[lane], each.expected) << each << ", lane " << lane << std::hex << ": 0x" << out[lane]
                                        << " instead of 0x" << each.expected;
  }
}

void check_all(std::initializer_list<Case> cases) {
  for (const Case& each : cases) check(each);
}

TEST(Semantics, IntegerArithmetic) {
  check_all({
      {"add.u32 %r0, %r1, %r2;", {0xffffffff, 2}, 1},               // 9.7.1.1: wraps
      {"add.s32.sat %r0, %r1, %r2;", {0x7fffffff, 1}, 0x7fffffff},  // .sat limits to MININT..MAXINT
      {"add.s32.sat %r0, %r1, %r2;", {0x80000000, 0xffffffff}, 0x80000000},
      {"sub.s32.sat %r0, %r1, %r2;", {0x80000000, 1}, 0x80000000},
      {"sub.s32.sat %r0, %r1, %r2;", {0x7fffffff, 0xffffffff}, 0x7fffffff},
      {"mul.lo.u32 %r0, %r1, %r2;", {0x10000, 0x10001}, 0x10000},  // 9.7.1.3
      {"mul.hi.u32 %r0, %r1, %r2;", {0xffffffff, 0xffffffff}, 0xfffffffe},
      {"mul.hi.s32 %r0, %r1, %r2;", {0xffffffff, 2}, 0xffffffff},
      {"mul.wide.u16 %r0, %h1, %h2;", {0xffff, 0xffff}, 0xfffe0001},
      {"mul.wide.s16 %r0, %h1, %h2;", {0xffff, 2}, 0xfffffffe},
      {"mad.lo.s32 %r0, %r1, %r2, %r3;", {0xffffffff, 5, 7}, 2},  // 9.7.1.4
      {"mad.hi.u32 %r0, %r1, %r2, %r3;", {0x80000000, 4, 1}, 3},
      {"mad.wide.u16 %r0, %h1, %h2, %r3;", {0x100, 0x100, 1}, 0x10001},
      {"div.s32 %r0, %r1, %r2;", {0xfffffff9, 2}, 0xfffffffd},  // 9.7.1.8: towards zero
      {"div.u32 %r0, %r1, %r2;", {0xfffffff9, 2}, 0x7ffffffc},
      {"rem.s32 %r0, %r1, %r2;", {0xfffffff9, 2}, 0xffffffff},  // 9.7.1.9
      {"div.s32 %r0, %r1, %r2;", {0x80000000, 0xffffffff}, 0x80000000},
      {"rem.s32 %r0, %r1, %r2;", {0x80000000, 0xffffffff}, 0},
      {"abs.s32 %r0, %r1;", {0x80000000}, 0x80000000},  // 9.7.1.10: MININT stays
      {"abs.s32 %r0, %r1;", {0xffffffff}, 1},
      {"neg.s32 %r0, %r1;", {5}, 0xfffffffb},
      {"min.s32 %r0, %r1, %r2;", {0xffffffff, 1}, 0xffffffff},
      {"min.u32 %r0, %r1, %r2;", {0xffffffff, 1}, 1},
      {"max.s32 %r0, %r1, %r2;", {0xffffffff, 1}, 1},
      {"sad.s32 %r0, %r1, %r2, %r3;", {0xfffffffe, 3, 10}, 15},  // 9.7.1.7: c + |a - b|
      {"sad.u32 %r0, %r1, %r2, %r3;", {3, 5, 10}, 12},
      {"add.s16 %h0, %h1, %h2; cvt.s32.s16 %r0, %h0;", {0x7fff, 1}, 0xffff8000},
      {"add.u16 %h0, %h1, %h2; cvt.u32.u16 %r0, %h0;", {0xffff, 2}, 1},
  });
}

// 9.7.2: 64-bit sums from 32-bit halves by the condition code.
TEST(Semantics, ExtendedPrecision) {
  check_all({
      {"add.cc.u32 %r4, %r1, %r2; addc.u32 %r0, %r3, 0;", {0xffffffff, 1, 7}, 8},
      {"add.cc.u32 %r4, %r1, %r2; addc.u32 %r0, %r3, 0;", {0xfffffffe, 1, 7}, 7},
      {"add.cc.u32 %r4, %r1, %r2; addc.cc.u32 %r4, 0xffffffff, 0; addc.u32 %r0, %r3, 0;", {0xffffffff, 1, 7}, 8},
      {"sub.cc.u32 %r4, %r1, %r2; subc.u32 %r0, %r3, 0;", {0, 1, 7}, 6},
      {"sub.cc.u32 %r4, %r1, %r2; subc.u32 %r0, %r3, 0;", {1, 1, 7}, 7},
      {"mad.lo.cc.u32 %r4, %r1, %r2, %r3; madc.hi.u32 %r0, %r1, %r2, 0;",
       {0xffffffff, 0xffffffff, 0xffffffff},
       0xffffffff},
  });
}

TEST(Semantics, Bits) {
  check_all({
      {"shl.b32 %r0, %r1, %r2;", {1, 31}, 0x80000000},  // 9.7.8.8
      {"shl.b32 %r0, %r1, %r2;", {1, 32}, 0},           // clamped to the width
      {"shl.b32 %r0, %r1, %r2;", {1, 0xffffffff}, 0},
      {"shr.u32 %r0, %r1, %r2;", {0x80000000, 31}, 1},
      {"shr.u32 %r0, %r1, %r2;", {0x80000000, 32}, 0},
      {"shr.s32 %r0, %r1, %r2;", {0x80000000, 32}, 0xffffffff},  // signed shifts fill with the sign
      {"shr.s32 %r0, %r1, %r2;", {0x7fffffff, 200}, 0},
      {"shr.s16 %h0, %h1, %r2; cvt.u32.u16 %r0, %h0;", {0x8000, 20}, 0xffff},
      {"shl.b16 %h0, %h1, %r2; cvt.u32.u16 %r0, %h0;", {0xffff, 8}, 0xff00},
      {"shl.b64 %d0, %d1, %r3; mov.b64 {%r4, %r0}, %d0;", {0x80000001, 0, 33}, 2},
      {"shf.l.wrap.b32 %r0, %r1, %r2, %r3;", {0x80000000, 1, 33}, 3},            // 9.7.8.6: amount & 31
      {"shf.l.clamp.b32 %r0, %r1, %r2, %r3;", {0x80000001, 1, 33}, 0x80000001},  // at most 32
      {"shf.r.wrap.b32 %r0, %r1, %r2, %r3;", {0x80000000, 1, 4}, 0x18000000},
      {"shf.r.clamp.b32 %r0, %r1, %r2, %r3;", {0x80000000, 7, 40}, 7},
      {"and.b32 %r0, %r1, %r2;", {0xff00, 0x0ff0}, 0x0f00},
      {"not.b32 %r0, %r1;", {0xff}, 0xffffff00},
      {"not.b16 %h0, %h1; cvt.u32.u16 %r0, %h0;", {0xff}, 0xff00},
      {"cnot.b32 %r0, %r1;", {0}, 1},  // 9.7.8.5
      {"cnot.b32 %r0, %r1;", {2}, 0},
      {"popc.b32 %r0, %r1;", {0xf0f0f001}, 13},
      {"clz.b32 %r0, %r1;", {0}, 32},
      {"clz.b64 %r0, %d1;", {1, 0}, 63},
      {"brev.b32 %r0, %r1;", {0x00000003}, 0xc0000000},
      {"bfind.u32 %r0, %r1;", {0x00010000}, 16},  // 9.7.1.18
      {"bfind.s32 %r0, %r1;", {0xffff0000}, 15},  // highest bit unlike the sign
      {"bfind.shiftamt.u32 %r0, %r1;", {0x00010000}, 15},
      {"bfind.u32 %r0, %r1;", {0}, 0xffffffff},
      {"bfe.u32 %r0, %r1, 8, 8;", {0x12345678}, 0x56},  // 9.7.1.20
      {"bfe.s32 %r0, %r1, 4, 8;", {0x00000f80}, 0xfffffff8},
      {"bfe.s32 %r0, %r1, 28, 8;", {0x80000000}, 0xfffffff8},  // past the top: its sign
      {"bfe.s32 %r0, %r1, 8, 0;", {0xffffffff}, 0},
      {"bfe.u32 %r0, %r1, 40, 8;", {0xffffffff}, 0},
      {"bfi.b32 %r0, %r1, %r2, 8, 8;", {0xab, 0x11223344}, 0x1122ab44},  // 9.7.1.21
      {"bfi.b32 %r0, %r1, %r2, 28, 8;", {0xff, 0}, 0xf0000000},
      {"bfi.b32 %r0, %r1, %r2, 8, 0;", {0xff, 5}, 5},
      {"prmt.b32 %r0, %r1, %r2, 0x5410;", {0x11223344, 0xaabbccdd}, 0xccdd3344},  // 9.7.9.7
      {"prmt.b32 %r0, %r1, %r2, 0x0123;", {0x11223344, 0}, 0x44332211},
      {"prmt.b32 %r0, %r1, %r2, 0xb9a8;", {0x00ff0080, 0}, 0x0000ffff},  // bit 3 repeats the sign: bytes 3, 1, 2, 0
      {"prmt.b32.f4e %r0, %r1, %r2, %r3;", {0x33221100, 0x77665544, 1}, 0x44332211},
      {"prmt.b32.rc8 %r0, %r1, %r2, %r3;", {0x33221100, 0, 2}, 0x22222222},
      {"lop3.b32 %r0, %r1, %r2, %r3, 0xe8;", {0x0f, 0x33, 0x55}, 0x17},  // 9.7.8.2: the majority
      {"lop3.b32 %r0, %r1, %r2, %r3, 0x96;", {0xf0, 0xcc, 0xaa}, 0x96},  // parity, the manual's own table inputs
      {"lop3.b32 %r0, %r1, %r2, %r3, 0x1a;", {0xf0, 0xcc, 0xaa}, 0x1a},
  });
}

TEST(Semantics, SingleFloats) {
  check_all({
      {"add.f32 %r0, %r1, %r2;", {bits(1), bits(0x1p-24f)}, kOne},  // 9.7.3.1: ties to even
      {"add.rp.f32 %r0, %r1, %r2;", {bits(1), bits(0x1p-24f)}, kOne + 1},
      {"add.rz.f32 %r0, %r1, %r2;", {bits(-1), bits(-0x1p-24f)}, 0xbf800000},
      {"add.rm.f32 %r0, %r1, %r2;", {bits(-1), bits(-0x1p-24f)}, 0xbf800001},
      {"add.f32 %r0, %r1, %r2;", {1, 1}, 2},                                 // subnormal numbers are kept
      {"add.ftz.f32 %r0, %r1, %r2;", {1, 1}, 0},                             // .ftz flushes them
      {"add.ftz.f32 %r0, %r1, %r2;", {0x80000001, 0x80000001}, 0x80000000},  // keeping their sign
      {"add.sat.f32 %r0, %r1, %r2;", {bits(1), bits(1)}, kOne},              // .sat clamps to [0, 1]
      {"add.sat.f32 %r0, %r1, %r2;", {bits(-1), bits(-1)}, 0},
      {"add.sat.f32 %r0, %r1, %r2;", {kInfinity, 0xff800000}, 0},  // and makes NaN 0
      {"add.f32 %r0, %r1, %r2;", {kInfinity, 0xff800000}, kNan},   // the canonical NaN
      {"mul.f32 %r0, %r1, %r2;", {bits(3), bits(7)}, bits(21)},
      {"mul.f32 %r0, %r1, %r2;", {0x00800000, bits(0.5f)}, 0x00400000},
      {"mul.ftz.f32 %r0, %r1, %r2;", {0x00800000, bits(0.5f)}, 0},
      {"fma.rn.f32 %r0, %r1, %r2, %r3;", {0x3f800800, 0x3f800800, 0xbf801000}, 0x33800000},  // one rounding
      {"fma.rz.f32 %r0, %r1, %r2, %r3;", {bits(1), bits(0x1p-24f), bits(1)}, kOne},
      {"fma.rp.f32 %r0, %r1, %r2, %r3;", {bits(1), bits(0x1p-24f), bits(1)}, kOne + 1},
      {"div.rn.f32 %r0, %r1, %r2;", {bits(1), bits(3)}, 0x3eaaaaab},
      {"div.rz.f32 %r0, %r1, %r2;", {bits(1), bits(3)}, 0x3eaaaaaa},
      {"div.rn.f32 %r0, %r1, %r2;", {bits(1), 0}, kInfinity},
      {"rcp.rn.f32 %r0, %r1;", {bits(3)}, 0x3eaaaaab},
      {"rcp.rm.f32 %r0, %r1;", {bits(3)}, 0x3eaaaaaa},
      {"sqrt.rn.f32 %r0, %r1;", {bits(2)}, 0x3fb504f3},
      {"sqrt.rp.f32 %r0, %r1;", {bits(2)}, 0x3fb504f4},
      {"sqrt.rn.f32 %r0, %r1;", {bits(-1)}, kNan},
      {"min.f32 %r0, %r1, %r2;", {kNan, bits(1)}, kOne},        // 9.7.3.11: a number wins
      {"min.NaN.f32 %r0, %r1, %r2;", {kNan, bits(1)}, kNan},    // .NaN: the NaN does
      {"min.f32 %r0, %r1, %r2;", {0, 0x80000000}, 0x80000000},  // -0 < +0
      {"max.f32 %r0, %r1, %r2;", {0x80000000, 0}, 0},
      {"max.f32 %r0, %r1, %r2;", {0xffffffff, kNan}, kNan},
      {"abs.f32 %r0, %r1;", {bits(-2)}, bits(2)},
      {"neg.f32 %r0, %r1;", {0}, 0x80000000},
      {"neg.ftz.f32 %r0, %r1;", {1}, 0x80000000},
      {"ex2.approx.f32 %r0, %r1;", {bits(3)}, bits(8)},  // 9.7.3.21
      {"ex2.approx.f32 %r0, %r1;", {0xff800000}, 0},
      {"ex2.approx.f32 %r0, %r1;", {kInfinity}, kInfinity},
      {"ex2.approx.f32 %r0, %r1;", {bits(-149)}, 1},
      {"ex2.approx.ftz.f32 %r0, %r1;", {bits(-149)}, 0},
      {"ex2.approx.f32 %r0, %r1;", {kNan}, kNan},
      {"lg2.approx.f32 %r0, %r1;", {bits(8)}, bits(3)},
      {"lg2.approx.f32 %r0, %r1;", {0}, 0xff800000},
      {"lg2.approx.f32 %r0, %r1;", {bits(-1)}, kNan},
      {"rsqrt.approx.f32 %r0, %r1;", {bits(4)}, bits(0.5f)},
      {"rcp.approx.ftz.f32 %r0, %r1;", {bits(4)}, bits(0.25f)},
      {"rcp.approx.ftz.f32 %r0, %r1;", {0x80000000}, 0xff800000},
      {"tanh.approx.f32 %r0, %r1;", {kInfinity}, kOne},
  });
}

TEST(Semantics, HalfFloats) {
  check_all({
      {"add.f16 %h0, %h1, %h2; cvt.u32.u16 %r0, %h0;", {0x3c00, 0x3c00}, 0x4000},  // 9.7.4.1
      {"add.f16 %h0, %h1, %h2; cvt.u32.u16 %r0, %h0;", {0x3c00, 0x1000}, 0x3c00},  // 1 + 2^-11: ties to even
      {"add.f16 %h0, %h1, %h2; cvt.u32.u16 %r0, %h0;", {0x7bff, 0x7bff}, 0x7c00},  // overflow
      {"add.f16 %h0, %h1, %h2; cvt.u32.u16 %r0, %h0;", {0x0001, 0x0001}, 0x0002},  // subnormal
      {"add.ftz.f16 %h0, %h1, %h2; cvt.u32.u16 %r0, %h0;", {0x0001, 0x0001}, 0x0000},
      {"mul.bf16 %h0, %h1, %h2; cvt.u32.u16 %r0, %h0;", {0x3fc0, 0x3fc0}, 0x4010},                  // 1.5 * 1.5 = 2.25
      {"fma.rn.bf16 %h0, %h1, %h2, %h3; cvt.u32.u16 %r0, %h0;", {0x3f80, 0x3f80, 0x3b80}, 0x3f80},  // 1 + 2^-8: to even
      {"fma.rn.relu.f16 %h0, %h1, %h2, %h3; cvt.u32.u16 %r0, %h0;", {0xbc00, 0x3c00, 0}, 0},
      {"add.f16x2 %r0, %r1, %r2;", {0x3c004000, 0x3c004000}, 0x40004400},
      {"fma.rn.bf16x2 %r0, %r1, %r2, %r3;",
       {0x40003f80, 0x40404000, 0x3f803f80},
       0x40e04040},  // {2 * 3 + 1, 1 * 2 + 1}
      {"max.bf16x2 %r0, %r1, %r2;", {0x7fff3f80, 0x3f80bf80}, 0x3f803f80},
      {"neg.f16x2 %r0, %r1;", {0x3c00bc00}, 0xbc003c00},
  });
}

TEST(Semantics, Comparisons) {
  const auto selected = [](const char* comparison) {
    return std::string(comparison) + " %p1, %r1, %r2; selp.u32 %r0, 1, 0, %p1;";
  };
  struct Comparison {
    const char* text;
    uint32_t a, b, expected;
  };
  // 9.7.7 and 8.1: ordered comparisons are false, unordered ones true, if an operand is NaN.
  for (const Comparison& each : std::initializer_list<Comparison>{{"setp.lt.s32", 0xffffffff, 1, 1},
                                                                  {"setp.lt.u32", 0xffffffff, 1, 0},
                                                                  {"setp.hi.u32", 0xffffffff, 1, 1},
                                                                  {"setp.ls.u32", 1, 1, 1},
                                                                  {"setp.eq.f32", kNan, kNan, 0},
                                                                  {"setp.ne.f32", kNan, kOne, 0},
                                                                  {"setp.neu.f32", kNan, kOne, 1},
                                                                  {"setp.equ.f32", kNan, kOne, 1},
                                                                  {"setp.ltu.f32", kNan, kOne, 1},
                                                                  {"setp.ge.f32", kNan, kOne, 0},
                                                                  {"setp.geu.f32", kOne, kOne + 1, 0},
                                                                  {"setp.num.f32", kOne, kOne, 1},
                                                                  {"setp.nan.f32", kOne, kNan, 1},
                                                                  {"setp.eq.f32", 0, 0x80000000, 1},
                                                                  {"setp.eq.f32", 1, 0, 0},
                                                                  {"setp.eq.ftz.f32", 1, 0, 1}}) {
    const std::string text = selected(each.text);
    check({text.c_str(), {each.a, each.b}, each.expected});
  }
  check_all({
      {"setp.gt.u32 %p2, %r3, 0; setp.lt.and.u32 %p1, %r1, %r2, !%p2; selp.u32 %r0, 1, 0, %p1;", {1, 2, 1}, 0},
      {"setp.gt.u32 %p2, %r3, 0; setp.lt.xor.u32 %p1, %r1, %r2, %p2; selp.u32 %r0, 1, 0, %p1;", {2, 1, 1}, 1},
      {"setp.lt.u32 %p1|%p2, %r1, %r2; selp.u32 %r0, 1, 0, %p2;", {1, 2}, 0},
      {"set.lt.u32.s32 %r0, %r1, %r2;", {0xffffffff, 0}, 0xffffffff},  // 9.7.6.1: all ones
      {"set.lt.f32.s32 %r0, %r1, %r2;", {0xffffffff, 0}, kOne},        // or 1.0
      {"slct.u32.s32 %r0, %r1, %r2, %r3;", {5, 6, 0}, 5},              // 9.7.6.4
      {"slct.u32.f32 %r0, %r1, %r2, %r3;", {5, 6, 0x80000000}, 5},     // -0 >= 0
      {"slct.u32.f32 %r0, %r1, %r2, %r3;", {5, 6, kNan}, 6},
      {"setp.eq.u32 %p1, %r1, 3; not.pred %p2, %p1; @%p2 mov.u32 %r0, 9; @!%p2 mov.u32 %r0, 8;", {3}, 8},
  });
}

TEST(Semantics, Conversions) {
  check_all({
      {"cvt.u8.u32 %r0, %r1;", {0x1ff}, 0xff},        // 9.7.9.21: cut off
      {"cvt.s8.s32 %r0, %r1;", {0x1ff}, 0xffffffff},  // and extended into the wider register
      {"cvt.sat.u8.s32 %r0, %r1;", {0xffffffff}, 0},
      {"cvt.sat.s8.s32 %r0, %r1;", {0xffff0000}, 0xffffff80},
      {"cvt.s64.s32 %d0, %r1; mov.b64 {%r4, %r0}, %d0;", {0x80000000}, 0xffffffff},
      {"cvt.u64.u32 %d0, %r1; mov.b64 {%r4, %r0}, %d0;", {0x80000000}, 0},
      {"cvt.rni.s32.f32 %r0, %r1;", {bits(2.5f)}, 2},  // nearest even integer
      {"cvt.rzi.s32.f32 %r0, %r1;", {bits(-2.9f)}, 0xfffffffe},
      {"cvt.rmi.s32.f32 %r0, %r1;", {bits(-2.1f)}, 0xfffffffd},
      {"cvt.rpi.s32.f32 %r0, %r1;", {bits(2.1f)}, 3},
      {"cvt.rzi.s32.f32 %r0, %r1;", {bits(3e9f)}, 0x7fffffff},  // clamped
      {"cvt.rzi.u32.f32 %r0, %r1;", {bits(-3)}, 0},
      {"cvt.rzi.s32.f32 %r0, %r1;", {kNan}, 0},  // NaN: 0 for f32 to 32 bits
      {"cvt.rzi.u8.f32 %r0, %r1;", {bits(300)}, 255},
      {"cvt.rni.f32.f32 %r0, %r1;", {bits(-3.5f)}, bits(-4)},
      {"cvt.rn.f32.s32 %r0, %r1;", {0x01000001}, 0x4b800000},  // 2^24 + 1: to even
      {"cvt.rp.f32.s32 %r0, %r1;", {0x01000001}, 0x4b800001},
      {"cvt.rz.f32.s32 %r0, %r1;", {0xfeffffff}, 0xcb800000},
      {"cvt.rn.f32.u32 %r0, %r1;", {0xffffffff}, 0x4f800000},
      {"cvt.f32.f16 %r0, %h1;", {0x3555}, 0x3eaaa000},
      {"cvt.f32.f16 %r0, %h1;", {0x0001}, 0x33800000},  // 2^-24
      {"cvt.f32.bf16 %r0, %h1;", {0x3f80}, kOne},
      {"cvt.rn.f16.f32 %h0, %r1; cvt.u32.u16 %r0, %h0;", {bits(65520)}, 0x7c00},  // rounds past the largest
      {"cvt.rz.f16.f32 %h0, %r1; cvt.u32.u16 %r0, %h0;", {bits(65520)}, 0x7bff},
      {"cvt.rn.f16.f32 %h0, %r1; cvt.u32.u16 %r0, %h0;", {kNan}, 0x7fff},
      {"cvt.rn.f16.f32 %h0, %r1; cvt.u32.u16 %r0, %h0;", {bits(0x1p-25f)}, 0},  // half of the smallest: to even
      {"cvt.rn.bf16.f32 %h0, %r1; cvt.u32.u16 %r0, %h0;", {0x3f808000}, 0x3f80},
      {"cvt.rn.bf16.f32 %h0, %r1; cvt.u32.u16 %r0, %h0;", {0x3f818000}, 0x3f82},
      {"cvt.rz.bf16.f32 %h0, %r1; cvt.u32.u16 %r0, %h0;", {0x3f81ffff}, 0x3f81},
      {"cvt.rn.bf16x2.f32 %r0, %r1, %r2;", {bits(1), bits(2)}, 0x3f804000},  // a above, b below
      {"cvt.rn.f16x2.f32 %r0, %r1, %r2;", {bits(1), bits(-2)}, 0x3c00c000},
      {"cvt.rn.relu.bf16x2.f32 %r0, %r1, %r2;", {bits(-1), bits(2)}, 0x00004000},
      {"cvt.rn.satfinite.e4m3x2.f32 %h0, %r1, %r2; cvt.u32.u16 %r0, %h0;", {bits(1), bits(1000)}, 0x387e},
      {"cvt.rn.satfinite.e4m3x2.f32 %h0, %r1, %r2; cvt.u32.u16 %r0, %h0;", {kNan, bits(-0x1p-9f)}, 0x7f81},
      {"cvt.rn.satfinite.e5m2x2.f32 %h0, %r1, %r2; cvt.u32.u16 %r0, %h0;", {bits(1.125f), bits(1e9f)}, 0x3c7b},
      {"cvt.rn.f16x2.e4m3x2 %r0, %h1;", {0x3801}, 0x3c001800},  // 1 and 2^-9
      {"cvt.sat.f32.f32 %r0, %r1;", {bits(2)}, kOne},
      {"cvt.ftz.f32.f32 %r0, %r1;", {1}, 0},
  });
}

// 9.7.4 and 9.7.3 in 64 bits, of the value whose upper half is the first input.
TEST(Semantics, DoubleFloats) {
  constexpr uint32_t kDoubleOne = 0x3ff00000, kDoubleThree = 0x40080000;
  const char* const load = "mov.b64 %x1, {0, %r1}; mov.b64 %x2, {0, %r2}; ";
  struct Of {
    const char* text;
    uint32_t a, b, expected;  // upper halves; a lower half where the text says so
  };
  for (const Of& each : std::initializer_list<Of>{
           {"add.f64 %x0, %x1, %x2; mov.b64 {%r4, %r0}, %x0;", kDoubleOne, kDoubleOne, 0x40000000},
           {"div.rn.f64 %x0, %x1, %x2; mov.b64 {%r0, %r4}, %x0;", kDoubleOne, kDoubleThree, 0x55555555},
           {"div.rp.f64 %x0, %x1, %x2; mov.b64 {%r0, %r4}, %x0;", kDoubleOne, kDoubleThree, 0x55555556},
           {"fma.rn.f64 %x0, %x1, %x2, %x2; mov.b64 {%r4, %r0}, %x0;", kDoubleThree, kDoubleOne, 0x40100000},
           {"cvt.rn.f32.f64 %r0, %x1;", kDoubleThree, 0, 0x40400000},
           {"cvt.rn.f32.f64 %r0, %x1;", 0x7e37e43c, 0, 0x7f800000},  // about 1e300
           {"cvt.rz.f32.f64 %r0, %x1;", 0x7e37e43c, 0, 0x7f7fffff},
           {"cvt.rzi.s32.f64 %r0, %x1;", 0x7ff80000, 0, 0x80000000},
           {"sqrt.rn.f64 %x0, %x1; mov.b64 {%r4, %r0}, %x0;", 0x40100000, 0, 0x40000000}}) {
    const std::string text = std::string(load) + each.text;
    check({text.c_str(), {each.a, each.b}, each.expected});
  }
}

}  // namespace
}  // namespace emulator::test
