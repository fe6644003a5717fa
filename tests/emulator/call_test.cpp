// Calls, branches through a table, printf and assert (PTX ISA 9.0, sections 7.1, 9.7.12.2, 9.7.12.5).
#include <gtest/gtest.h>

#include "kernel.h"

namespace emulator::test {
namespace {

using Words = std::vector<uint32_t>;

Words iota() {
  Words values(32);
  for (uint32_t i = 0; i < 32; ++i) values[i] = i;
  return values;
}

/// Runs a module with a kernel `test(out, in)` over one warp.
Words run_module(const std::string& text, Result* result, size_t count = 32) {
  Kernel kernel(module_text(text), "test");
  const uint64_t out = kernel.upload(Words(count));
  kernel.shape.block = {32, 1, 1};
  kernel.argument(out);
  kernel.argument(kernel.upload(iota()));
  *result = kernel.run();
  return kernel.download<uint32_t>(out, count);
}

constexpr const char* kStart = R"(
.visible .entry test(.param .u64 out, .param .u64 in) {
  .reg .pred %p<4>; .reg .b32 %r<16>; .reg .b64 %d<8>; .local .align 8 .b8 frame[40];
  ld.param.u64 %d0, [out];
  mov.u32 %r0, %tid.x;
  mad.wide.u32 %d0, %r0, 4, %d0;
)";

// The called function returns early in some lanes, has a local variable and a loop, and calls another one.
constexpr const char* kFunctions = R"(
.func (.param .b32 result) twice(.param .b32 x) {
  .reg .b32 %r<3>;
  ld.param.u32 %r1, [x];
  add.u32 %r2, %r1, %r1;
  st.param.u32 [result], %r2;
  ret;
}
.func (.param .b32 result) triangle(.param .b32 n) {
  .reg .b32 %r<8>; .reg .pred %p<2>; .reg .b64 %d<2>; .local .b32 sum;
  ld.param.u32 %r1, [n];
  st.local.u32 [sum], 0;
  setp.eq.u32 %p0, %r1, 5;
  st.param.u32 [result], 1000;
  @%p0 ret;
loop:
  ld.local.u32 %r2, [sum];
  add.u32 %r2, %r2, %r1;
  st.local.u32 [sum], %r2;
  setp.eq.u32 %p1, %r1, 0;
  @!%p1 sub.u32 %r1, %r1, 1;
  @!%p1 bra loop;
  {
    .param .b32 argument;
    .param .b32 doubled;
    st.param.b32 [argument], %r2;
    call.uni (doubled), twice, (argument);
    ld.param.b32 %r3, [doubled];
  }
  st.param.u32 [result], %r3;
}
)";

TEST(Calls, ReturnResultsInEveryLane) {
  Result result;
  const Words got = run_module(std::string(kFunctions) + kStart + R"(
  {
    .param .b32 argument;
    .param .b32 value;
    st.param.b32 [argument], %r0;
    call.uni (value), triangle, (argument);
    ld.param.b32 %r1, [value];
  }
  st.global.u32 [%d0], %r1;
  ret;
})",
                               &result);
  ASSERT_TRUE(result.clean()) << result.text();
  for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(got[i], i == 5 ? 1000 : i * (i + 1)) << i;
}

TEST(Calls, BehindAGuardLeaveOtherLanesAlone) {
  Result result;
  const Words got = run_module(std::string(kFunctions) + kStart + R"(
  setp.lt.u32 %p1, %r0, 10;
  {
    .param .b32 argument;
    .param .b32 value;
    st.param.b32 [argument], %r0;
    st.param.b32 [value], 77;
    @%p1 call (value), triangle, (argument);
    ld.param.b32 %r1, [value];
  }
  st.global.u32 [%d0], %r1;
  ret;
})",
                               &result);
  ASSERT_TRUE(result.clean()) << result.text();
  for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(got[i], i == 5 ? 1000 : i < 10 ? i * (i + 1) : 77) << i;
}

TEST(Calls, ThatTheMachineDoesNotHaveAreRefused) {
  const auto refusal = [](const std::string& functions, const std::string& call) {
    Result result;
    run_module(functions + kStart + "{ .param .b32 a; .param .b32 b; " + call + " }\n ret;\n}", &result);
    return result.refusal;
  };
  EXPECT_NE(refusal(".func f() { call f, (); ret; }", "call f, ();").find("f calls itself"), std::string::npos);
  EXPECT_NE(refusal("", "call g, ();").find("function g is not there"), std::string::npos);
  EXPECT_NE(refusal(kFunctions, "call (a), twice, ();").find("another number of arguments"), std::string::npos);
  EXPECT_NE(refusal(kFunctions, "call (a), twice, (%r1);").find("other than .param variables"), std::string::npos);
}

TEST(BranchTables, TakeEveryLaneToItsTarget) {
  const auto body = [](const char* index) {
    return std::string(kStart) + "  " + index + R"(
  setp.ge.u32 %p1, %r0, 24;
  mov.u32 %r2, 99;
targets: .branchtargets zero, one, two;
  @!%p1 brx.idx %r1, targets;
  bra done;
two:
  mov.u32 %r2, 2;
  bra done;
zero:
  mov.u32 %r2, 0;
  bra done;
one:
  mov.u32 %r2, 1;
done:
  st.global.u32 [%d0], %r2;
  ret;
})";
  };
  Result result;
  const Words got = run_module(body("rem.u32 %r1, %r0, 3;"), &result);
  ASSERT_TRUE(result.clean()) << result.text();
  for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(got[i], i < 24 ? i % 3 : 99) << i;
  run_module(body("rem.u32 %r1, %r0, 4;"), &result);
  EXPECT_TRUE(result.found(machine::Finding::operand)) << result.text();
}

// "%d,%5.2f|%#llx,%s%%%c%u\n"
TEST(Printf, PrintsWhatCPrints) {
  Result result;
  const Words got = run_module(std::string(R"(
.extern .func (.param .b32 result) vprintf (.param .b64 format, .param .b64 arguments);
.global .align 1 .b8 text[26] = {37, 100, 44, 37, 53, 46, 50, 102, 124, 37, 35, 108, 108, 120, 44, 37, 115, 37, 37, 37, 99, 37,
                                 117, 10, 0, 0};
.global .align 1 .b8 word[4] = {97, 98, 99, 0};
)") + kStart + R"(
  setp.lt.u32 %p1, %r0, 30;
  @%p1 bra done;
  mov.u64 %d1, frame;
  cvta.local.u64 %d2, %d1;
  st.local.u32 [%d1], -7;
  mov.b64 %d3, 0d3FF8000000000000;
  st.local.u64 [%d1+8], %d3;
  mov.b64 %d4, 65535;
  st.local.u64 [%d1+16], %d4;
  mov.u64 %d5, word;
  cvta.global.u64 %d5, %d5;
  st.local.u64 [%d1+24], %d5;
  st.local.u32 [%d1+32], 122;
  st.local.u32 [%d1+36], %r0;
  mov.u64 %d6, text;
  cvta.global.u64 %d6, %d6;
  {
    .param .b64 format;
    .param .b64 arguments;
    .param .b32 printed;
    st.param.b64 [format], %d6;
    st.param.b64 [arguments], %d2;
    call.uni (printed), vprintf, (format, arguments);
    ld.param.b32 %r2, [printed];
  }
  st.global.u32 [%d0], %r2;
done:
  ret;
})",
                               &result);
  ASSERT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(result.printed, "-7, 1.50|0xffff,abc%z30\n-7, 1.50|0xffff,abc%z31\n");
  EXPECT_EQ(got[30], 6u) << "the number of arguments";
}

TEST(Assert, EndsTheLaunch) {
  Result result;
  run_module(std::string(R"(
.extern .func __assertfail (.param .b64 message, .param .b64 file, .param .b32 line, .param .b64 function,
                            .param .b64 size);
.global .align 1 .b8 message[6] = {120, 32, 62, 32, 48, 0};
.global .align 1 .b8 file[5] = {97, 46, 99, 117, 0};
.global .align 1 .b8 function[2] = {107, 0};
)") + kStart + R"(
  setp.ne.u32 %p1, %r0, 17;
  @%p1 bra done;
  mov.u64 %d1, message;
  cvta.global.u64 %d1, %d1;
  mov.u64 %d2, file;
  cvta.global.u64 %d2, %d2;
  mov.u64 %d3, function;
  cvta.global.u64 %d3, %d3;
  {
    .param .b64 a;
    .param .b64 b;
    .param .b32 c;
    .param .b64 d;
    .param .b64 e;
    st.param.b64 [a], %d1;
    st.param.b64 [b], %d2;
    st.param.b32 [c], 42;
    st.param.b64 [d], %d3;
    st.param.b64 [e], 1;
    call.uni __assertfail, (a, b, c, d, e);
  }
done:
  ret;
})",
             &result);
  ASSERT_TRUE(result.found(machine::Finding::assertion)) << result.text();
  EXPECT_NE(result.text().find("assertion: a.cu:42: k: `x > 0` failed for lane 17"), std::string::npos)
      << result.text();
}

}  // namespace
}  // namespace emulator::test
