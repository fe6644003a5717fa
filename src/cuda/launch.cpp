#include "cuda/launch.h"

namespace flash_mla::cuda {

Status launch(const Current& current, Function function, const Launch& how, Stream stream, void** arguments) {
  const LaunchAttribute overlaps{LaunchAttributeId::programmatic_stream_serialization, 0, 1, {}};
  const LaunchConfig config{{how.grid[0], how.grid[1], 1}, {how.threads, 1, 1}, how.shared_bytes, stream, &overlaps,
                            how.overlaps ? 1U : 0U};
  return check(*current.driver, current.driver->launch(&config, function, arguments, nullptr), "cuLaunchKernelEx");
}

}  // namespace flash_mla::cuda
