#include "pair.h"

#include <gtest/gtest.h>

namespace emulator::test {

std::ostream& operator<<(std::ostream& out, const Pair& pair) {
  return out << pair.name;
}

Result run_body(const char* body, const machine::LaunchShape& shape, uint64_t seed) {
  const std::string text = kernel_text(std::string(R"(
  .shared .align 128 .b8 buffer[4096];
  mov.u32 %r0, buffer;
  mov.u32 %r1, %tid.x;
  mov.u32 %r63, %ctaid.x;
)") + body);
  Kernel kernel(text);
  kernel.argument(kernel.memory.allocate(1024));
  kernel.argument(kernel.upload(std::vector<uint32_t>(256, 1)));
  kernel.shape = shape;
  kernel.options.seed = seed;
  kernel.options.patience = 20'000;
  return kernel.run();
}

void check_pair(const Pair& pair) {
  bool found = false;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Result sound = run_body(pair.sound, pair.shape, seed);
    EXPECT_TRUE(sound.clean()) << sound.text();
    const Result wrong = run_body(pair.wrong, pair.shape, seed);
    EXPECT_TRUE(wrong.refusal.empty()) << wrong.refusal;
    found |= wrong.found(pair.finding);
    if (seed == 10 && !found) ADD_FAILURE() << "not found; instead: " << wrong.text();
  }
}

}  // namespace emulator::test
