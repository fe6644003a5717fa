#include <utility>

#include "cuda/driver.h"
#include "flash_mla/cuda.h"

namespace flash_mla {

namespace {

Status check_range(size_t offset, size_t count, size_t size) {
  if (offset <= size && count <= size - offset) return {};
  return core::invalid("offset is {} and count {}: the memory has {} bytes", offset, count, size);
}

}  // namespace

Status cuda_use_device(int device) {
  const Result<const cuda::Driver*> opened = cuda::driver();
  if (!opened.ok()) return opened.status();
  const cuda::Driver& driver = *opened.value();
  int count = 0;
  FLASH_MLA_RETURN_IF_ERROR(cuda::check(driver, driver.device_count(&count), "cuDeviceGetCount"));
  if (device < 0 || device >= count) return core::invalid("device is {}: the driver sees {} devices", device, count);
  cuda::Device handle = 0;
  FLASH_MLA_RETURN_IF_ERROR(cuda::check(driver, driver.device_get(&handle, device), "cuDeviceGet"));
  cuda::Context context = nullptr;
  FLASH_MLA_RETURN_IF_ERROR(cuda::check(driver, driver.primary_context(&context, handle), "cuDevicePrimaryCtxRetain"));
  return cuda::check(driver, driver.set_context(context), "cuCtxSetCurrent");
}

Result<int> cuda_current_device() {
  const Result<const cuda::Driver*> opened = cuda::driver();
  if (!opened.ok()) return opened.status();
  const cuda::Driver& driver = *opened.value();
  cuda::Context context = nullptr;
  FLASH_MLA_RETURN_IF_ERROR(cuda::check(driver, driver.current_context(&context), "cuCtxGetCurrent"));
  cuda::Device device = -1;
  if (context == nullptr) return device;
  FLASH_MLA_RETURN_IF_ERROR(cuda::check(driver, driver.current_device(&device), "cuCtxGetDevice"));
  return device;
}

Status cuda_synchronize(void* stream) {
  const Result<const cuda::Driver*> opened = cuda::driver();
  if (!opened.ok()) return opened.status();
  return cuda::check(*opened.value(), opened.value()->synchronize(static_cast<cuda::Stream>(stream)),
                     "cuStreamSynchronize");
}

Status cuda_read(void* to, const void* from, size_t count, void* stream) {
  if (count == 0) return {};
  FLASH_MLA_RETURN_IF_ERROR(cuda_synchronize(stream));
  const cuda::Driver& driver = *cuda::driver().value();
  return cuda::check(driver, driver.to_host(to, reinterpret_cast<cuda::DeviceAddress>(from), count), "cuMemcpyDtoH");
}

Status cuda_write(void* to, const void* from, size_t count, void* stream) {
  if (count == 0) return {};
  const Result<const cuda::Driver*> opened = cuda::driver();
  if (!opened.ok()) return opened.status();
  return cuda::check(*opened.value(),
                     opened.value()->to_device_async(reinterpret_cast<cuda::DeviceAddress>(to), from, count,
                                                     static_cast<cuda::Stream>(stream)),
                     "cuMemcpyHtoDAsync");
}

Result<CudaMemory> CudaMemory::allocate(size_t size) {
  const Result<const cuda::Driver*> opened = cuda::driver();
  if (!opened.ok()) return opened.status();
  cuda::DeviceAddress address = 0;
  // The driver refuses 0 bytes.
  FLASH_MLA_RETURN_IF_ERROR(
      cuda::check(*opened.value(), opened.value()->allocate(&address, size > 0 ? size : 1), "cuMemAlloc"));
  CudaMemory memory;
  memory.address_ = address;
  memory.size_ = size;
  return memory;
}

CudaMemory::CudaMemory(CudaMemory&& other) noexcept
    : address_(std::exchange(other.address_, 0)), size_(std::exchange(other.size_, 0)) {}

CudaMemory& CudaMemory::operator=(CudaMemory&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(size_, other.size_);
  return *this;
}

CudaMemory::~CudaMemory() {
  if (address_ == 0) return;
  if (const Result<const cuda::Driver*> opened = cuda::driver(); opened.ok()) opened.value()->free(address_);
}

Status CudaMemory::write(const void* from, size_t offset, size_t count) {
  FLASH_MLA_RETURN_IF_ERROR(check_range(offset, count, size_));
  if (count == 0) return {};
  const Result<const cuda::Driver*> opened = cuda::driver();
  if (!opened.ok()) return opened.status();
  return cuda::check(*opened.value(), opened.value()->to_device(address_ + offset, from, count), "cuMemcpyHtoD");
}

Status CudaMemory::read(void* to, size_t offset, size_t count) const {
  FLASH_MLA_RETURN_IF_ERROR(check_range(offset, count, size_));
  if (count == 0) return {};
  const Result<const cuda::Driver*> opened = cuda::driver();
  if (!opened.ok()) return opened.status();
  return cuda::check(*opened.value(), opened.value()->to_host(to, address_ + offset, count), "cuMemcpyDtoH");
}

}  // namespace flash_mla
