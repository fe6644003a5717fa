#include "cuda/device.h"

#include <array>
#include <map>
#include <mutex>
#include <utility>

#include "cuda/kernels.h"

namespace flash_mla::cuda {

namespace {

constexpr const char* kNoKernels = "built without its kernels: without nvcc, or with FLASH_MLA_NVCC off";

struct Loaded {
  Module module = nullptr;
  std::map<std::string, Function, std::less<>> functions;
};

struct Cache {
  std::mutex mutex;
  std::map<Context, Loaded> contexts;
};

Cache& cache() {
  static Cache modules;
  return modules;
}

Result<std::string> describe(const Driver& driver, Device device, bool& fits) {
  int major = 0, minor = 0;
  FLASH_MLA_RETURN_IF_ERROR(check(driver, driver.device_attribute(&major, DeviceAttribute::capability_major, device),
                                  "cuDeviceGetAttribute"));
  FLASH_MLA_RETURN_IF_ERROR(check(driver, driver.device_attribute(&minor, DeviceAttribute::capability_minor, device),
                                  "cuDeviceGetAttribute"));
  std::array<char, 256> name{};
  FLASH_MLA_RETURN_IF_ERROR(
      check(driver, driver.device_name(name.data(), static_cast<int>(name.size()) - 1, device), "cuDeviceGetName"));
  // Code for sm_90a runs on capability 9.0 and no other.
  fits = major == 9 && minor == 0;
  return core::format("{} has compute capability {}.{}", name.data(), major, minor);
}

Status find_device() {
  if (kSm90Image == nullptr) return {StatusCode::unsupported, kNoKernels};
  const Result<const Driver*> opened = driver();
  if (!opened.ok()) return opened.status();
  const Driver& driver = *opened.value();
  int count = 0;
  FLASH_MLA_RETURN_IF_ERROR(check(driver, driver.device_count(&count), "cuDeviceGetCount"));
  std::string found;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    Device device = 0;
    FLASH_MLA_RETURN_IF_ERROR(check(driver, driver.device_get(&device, ordinal), "cuDeviceGet"));
    bool fits = false;
    const Result<std::string> described = describe(driver, device, fits);
    if (!described.ok()) return described.status();
    if (fits) return {};
    found += (found.empty() ? "" : ", ") + described.value();
  }
  return core::error(StatusCode::unsupported, "no device of compute capability 9.0: {}",
                     found.empty() ? "the driver sees none at all" : found);
}

}  // namespace

Result<Current> current() {
  if (kSm90Image == nullptr) return Status{StatusCode::unsupported, core::format("sm90 is {}", kNoKernels)};
  const Result<const Driver*> opened = driver();
  if (!opened.ok()) return opened.status();
  const Driver& driver = *opened.value();
  Current current;
  current.driver = &driver;
  FLASH_MLA_RETURN_IF_ERROR(check(driver, driver.current_context(&current.context), "cuCtxGetCurrent"));
  if (current.context == nullptr) {
    return core::invalid("this thread has no current CUDA context: make one current first (cuda_use_device() does)");
  }
  FLASH_MLA_RETURN_IF_ERROR(check(driver, driver.current_device(&current.device), "cuCtxGetDevice"));
  return current;
}

Status check_device(const Current& current, Device planned) {
  if (current.device == planned) return {};
  return core::error(StatusCode::plan_mismatch, "plan was made on device {}, this call is on device {}; plan again",
                     planned, current.device);
}

Result<int> num_sms(const Current& current) {
  const Driver& driver = *current.driver;
  bool fits = false;
  const Result<std::string> described = describe(driver, current.device, fits);
  if (!described.ok()) return described.status();
  if (!fits) {
    return core::error(StatusCode::unsupported, "device {}: {}; the sm90 kernels need 9.0", current.device,
                       described.value());
  }
  int count = 0;
  FLASH_MLA_RETURN_IF_ERROR(
      check(driver, driver.device_attribute(&count, DeviceAttribute::num_sms, current.device), "cuDeviceGetAttribute"));
  return count;
}

std::string why_unusable() {
  return find_device().message();
}

Result<Function> function(const Current& current, const char* name, int64_t shared_bytes) {
  const Driver& driver = *current.driver;
  const std::lock_guard lock(cache().mutex);
  Loaded& loaded = cache().contexts[current.context];
  if (loaded.module == nullptr) {
    Module module = nullptr;
    FLASH_MLA_RETURN_IF_ERROR(check(driver, driver.load_module(&module, kSm90Image), "cuModuleLoadData"));
    loaded.module = module;
  }
  if (const auto known = loaded.functions.find(name); known != loaded.functions.end()) return known->second;
  Function function = nullptr;
  FLASH_MLA_RETURN_IF_ERROR(check(driver, driver.find_function(&function, loaded.module, name), "cuModuleGetFunction"));
  if (shared_bytes > 0) {
    FLASH_MLA_RETURN_IF_ERROR(check(
        driver,
        driver.set_function(function, FunctionAttribute::max_dynamic_shared_bytes, static_cast<int>(shared_bytes)),
        "cuFuncSetAttribute"));
  }
  loaded.functions.emplace(name, function);
  return function;
}

}  // namespace flash_mla::cuda
