// The device of the calling thread's current context, and the kernels loaded there.
#pragma once

#include <string>

#include "cuda/driver.h"

namespace flash_mla::cuda {

/// Where calls of this thread go.
struct Current {
  const Driver* driver = nullptr;
  Context context = nullptr;
  Device device = 0;
};

/// Allocates nothing on success. Errors: unsupported (no kernels in this build, no driver), invalid_argument (the
/// thread has no current context), device_error.
Result<Current> current();

/// Errors: plan_mismatch, where a plan was made on another device.
Status check_device(const Current& current, Device planned);

/// The streaming multiprocessors of a device that can run the kernels. Errors: unsupported (another architecture),
/// device_error.
Result<int> num_sms(const Current& current);

/// Why no device here can run the kernels; empty if one can.
std::string why_unusable();

/// The function of that name in this context, with room for `shared_bytes` of dynamic shared memory. Loads the kernels
/// into a context when they are first needed there, and keeps them. Errors: device_error.
Result<Function> function(const Current& current, const char* name, int64_t shared_bytes);

}  // namespace flash_mla::cuda
