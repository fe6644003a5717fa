// Names of errors, entry points by name, and what only the emulator can tell.
#include <dlfcn.h>

#include <cstring>

#include "driver/report.h"
#include "driver/state.h"
#include "support/format.h"

using namespace emulator::driver;

namespace {

struct Named {
  CUresult result;
  const char* name;
  const char* text;
};

constexpr Named kErrors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch"},
    {CUDA_ERROR_LAUNCH_TIMEOUT, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {CUDA_ERROR_ILLEGAL_INSTRUCTION, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {CUDA_ERROR_CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {CUDA_ERROR_ASSERT, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {CUDA_ERROR_STREAM_CAPTURE_MERGE, "CUDA_ERROR_STREAM_CAPTURE_MERGE",
     "operation would result in a merge of separate capture sequences"},
    {CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "capture was not ended in the same stream as it began"},
    {CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
     "dependency created on uncaptured work in another stream"},
    {CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {CUDA_ERROR_CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT",
     "operation not permitted on an event last recorded in a capturing stream"},
    {CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

CUresult describe(CUresult result, const char** text, const char* Named::*member) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (const Named& error : kErrors) {
    if (error.result != result) continue;
    *text = error.*member;
    return CUDA_SUCCESS;
  }
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

/// This very library, whatever else the program has loaded.
void* own_symbol(const char* name) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&state), &info) == 0) return nullptr;
  void* const library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return nullptr;
  void* const found = dlsym(library, name);
  dlclose(library);
  return found;
}

/// Names that mean another entry point from some version of the driver's interface on; the latest comes first.
struct Renamed {
  const char* name;
  int since;
  const char* entry_point;
};
constexpr Renamed kRenamed[] = {
    {"cuGraphInstantiate", 12000, "cuGraphInstantiateWithFlags"},
    {"cuStreamGetCaptureInfo", 13000, "cuStreamGetCaptureInfo_v3"},
    {"cuStreamGetCaptureInfo", 11030, "cuStreamGetCaptureInfo_v2"},
    {"cuCtxCreate", 13000, "cuCtxCreate_v4"},
};

void* find_entry_point(const char* name, int version) {
  for (const Renamed& renamed : kRenamed) {
    if (std::strcmp(renamed.name, name) == 0 && version >= renamed.since) return own_symbol(renamed.entry_point);
  }
  for (const char* suffix : {"_v2", ""}) {
    if (void* const found = own_symbol((std::string(name) + suffix).c_str())) return found;
  }
  return nullptr;
}

}  // namespace

EMULATOR_EXPORT CUresult cuGetErrorName(CUresult result, const char** name) {
  return describe(result, name, &Named::name);
}
EMULATOR_EXPORT CUresult cuGetErrorString(CUresult result, const char** text) {
  return describe(result, text, &Named::text);
}

EMULATOR_EXPORT CUresult cuGetProcAddress_v2(const char* name, void** address, int version, uint64_t, int* status) {
  if (name == nullptr || address == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *address = find_entry_point(name, version);
  if (status != nullptr) *status = *address != nullptr ? 0 : 1;
  return *address != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
EMULATOR_EXPORT CUresult cuGetProcAddress(const char* name, void** address, int version, uint64_t flags) {
  return cuGetProcAddress_v2(name, address, version, flags, nullptr);
}

EMULATOR_EXPORT const char* flash_mla_emulator_message() {
  const std::lock_guard<std::mutex> lock(state().mutex);
  thread_local std::string message;
  message = state().message;
  return message.c_str();
}

EMULATOR_EXPORT void flash_mla_emulator_counters(flash_mla_emulator_totals* totals) {
  if (totals == nullptr) return;
  const std::lock_guard<std::mutex> lock(state().mutex);
  const auto& counters = state().counters;
  *totals = {state().launches,
             counters.warp_instructions,
             counters.global_load_bytes,
             counters.global_store_bytes,
             counters.global_load_sectors,
             counters.global_store_sectors,
             counters.bulk_load_bytes,
             counters.bulk_store_bytes,
             counters.shared_wavefronts,
             counters.shared_ideal_wavefronts,
             counters.tensor_macs,
             state().reports.size()};
}
