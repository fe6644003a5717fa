// Calls on a CUDA device: a host call's arrays copied there and back.
#pragma once

#include "check/trial.h"

namespace flash_mla::cli {

/// As library_decoder(), for backends with on_cuda. The first call makes device 0 current.
Decoder cuda_decoder();

/// Whether the kernels of `sm90` take such a call (src/cuda/decode.cpp says what they take).
bool is_for_sm90(const DataSpec& data);

}  // namespace flash_mla::cli
