// The kernels of each instruction set.
#pragma once

#include "cpu/kernel.h"

namespace flash_mla::cpu {

struct Kernels {
  AttendFunction attend[3];  // by Element
  MergeFunction merge;
  double flops_per_ns;  // of one core, roughly: weighs the planner's fixed costs
};

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kAvx512Bf16Kernels;
#elif defined(__aarch64__)
extern const Kernels kNeonKernels;
extern const Kernels kNeonBf16Kernels;
#endif

}  // namespace flash_mla::cpu
