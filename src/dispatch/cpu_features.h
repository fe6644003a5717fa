// What this processor and its operating system can run.
#pragma once

namespace flash_mla::dispatch {

struct CpuFeatures {
  bool avx2 = false;    // AVX2, FMA, F16C
  bool avx512 = false;  // AVX-512 F, BW, DQ, VL
  bool avx512_bf16 = false;
  bool neon = false;
  bool neon_bf16 = false;
};

/// Read once; on x86-64 a feature counts only if the operating system saves its registers (XCR0).
const CpuFeatures& cpu_features();

}  // namespace flash_mla::dispatch
