#include <gtest/gtest.h>

#include "kernel.h"

namespace emulator::test {
TEST(Smoke, Runs) {
  Result result;
  const auto out = evaluate<uint32_t>(R"(
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %d1, %r1, 4;
  add.s64 %d2, %in, %d1;
  add.s64 %d3, %out, %d1;
  ld.global.u32 %r2, [%d2];
  add.u32 %r2, %r2, 5;
  st.global.u32 [%d3], %r2;)",
                                      std::vector<uint32_t>(32, 7), 32, &result);
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(out[31], 12u);
}
}  // namespace emulator::test
