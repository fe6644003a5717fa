// A kernel's launch.
#pragma once

#include "cuda/device.h"

namespace flash_mla::cuda {

struct Launch {
  unsigned grid[2] = {1, 1};
  unsigned threads = 1;
  uint32_t shared_bytes = 0;
  bool overlaps = false;  ///< may start before what is in front of it in the stream is done
};

/// Errors: device_error.
Status launch(const Current& current, Function function, const Launch& how, Stream stream, void** arguments);

}  // namespace flash_mla::cuda
