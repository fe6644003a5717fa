// kernels/gemm.ptx, a pipelined product of TMA copies, mbarriers and wgmma, ready to run: c = a b^T, of bfloat16.
#pragma once

#include "kernel.h"

namespace emulator::test {

struct Gemm {
  static constexpr uint32_t kSteps = 5, kDepth = 64 * kSteps;

  explicit Gemm(const std::string& text);

  Kernel kernel;
  std::vector<uint16_t> a, b;  // 64 x kDepth
  uint64_t c = 0;              // 64 x 64 float32
};

}  // namespace emulator::test
