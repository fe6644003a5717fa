/* Several contexts: each has its own memory, modules, streams and errors, and an id that no other ever has. */
#include "driver/abi.h"
#include "driver_calls.h"

ENTRY(CUresult, cuInit, unsigned int);
ENTRY(CUresult, cuDevicePrimaryCtxRetain, CUcontext*, CUdevice);
ENTRY(CUresult, cuDevicePrimaryCtxReset_v2, CUdevice);
ENTRY(CUresult, cuCtxCreate_v2, CUcontext*, unsigned int, CUdevice);
ENTRY(CUresult, cuCtxDestroy_v2, CUcontext);
ENTRY(CUresult, cuCtxGetId, CUcontext, unsigned long long*);
ENTRY(CUresult, cuCtxGetCurrent, CUcontext*);
ENTRY(CUresult, cuCtxSetCurrent, CUcontext);
ENTRY(CUresult, cuCtxPushCurrent_v2, CUcontext);
ENTRY(CUresult, cuCtxPopCurrent_v2, CUcontext*);
ENTRY(CUresult, cuCtxSynchronize, void);
ENTRY(CUresult, cuModuleLoadData, CUmodule*, const void*);
ENTRY(CUresult, cuModuleGetFunction, CUfunction*, CUmodule, const char*);
ENTRY(CUresult, cuMemAlloc_v2, CUdeviceptr*, size_t);
ENTRY(CUresult, cuMemFree_v2, CUdeviceptr);
ENTRY(CUresult, cuStreamCreate, CUstream*, unsigned int);
ENTRY(CUresult, cuStreamSynchronize, CUstream);
ENTRY(CUresult, cuLaunchKernel, CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
      CUstream, void**, void**);

static void load_entries(void) {
  LOAD(cuInit);
  LOAD(cuDevicePrimaryCtxRetain);
  LOAD(cuDevicePrimaryCtxReset_v2);
  LOAD(cuCtxCreate_v2);
  LOAD(cuCtxDestroy_v2);
  LOAD(cuCtxGetId);
  LOAD(cuCtxGetCurrent);
  LOAD(cuCtxSetCurrent);
  LOAD(cuCtxPushCurrent_v2);
  LOAD(cuCtxPopCurrent_v2);
  LOAD(cuCtxSynchronize);
  LOAD(cuModuleLoadData);
  LOAD(cuModuleGetFunction);
  LOAD(cuMemAlloc_v2);
  LOAD(cuMemFree_v2);
  LOAD(cuStreamCreate);
  LOAD(cuStreamSynchronize);
  LOAD(cuLaunchKernel);
}

static const char kModule[] =
    ".version 8.8\n.target sm_90a\n.address_size 64\n"
    ".visible .entry store(.param .u64 to) {\n"
    "  .reg .b64 %d;\n"
    "  ld.param.u64 %d, [to];\n"
    "  st.global.u64 [%d], %d;\n"
    "  ret;\n"
    "}\n";

static CUresult store(CUfunction function, CUdeviceptr to) {
  void* parameters[] = {&to};
  return cuLaunchKernel_(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
}

static CUfunction load_store(void) {
  CUmodule module = NULL;
  CUfunction function = NULL;
  EXPECT(CUDA_SUCCESS, cuModuleLoadData_(&module, kModule));
  EXPECT(CUDA_SUCCESS, cuModuleGetFunction_(&function, module, "store"));
  return function;
}

static unsigned long long id_of(CUcontext context) {
  unsigned long long id = 0;
  EXPECT(CUDA_SUCCESS, cuCtxGetId_(context, &id));
  return id;
}

static void stacks(CUcontext primary) {
  CUcontext first = NULL, second = NULL, popped = NULL, now = NULL;
  EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent_v2_(&popped));
  EXPECT(CUDA_SUCCESS, cuCtxCreate_v2_(&first, 0, 0));
  EXPECT(CUDA_SUCCESS, cuCtxCreate_v2_(&second, 0, 0));
  CHECK(first != second && first != primary);
  EXPECT(CUDA_SUCCESS, cuCtxGetCurrent_(&now));
  CHECK(now == second);
  EXPECT(CUDA_SUCCESS, cuCtxPopCurrent_v2_(&popped));
  CHECK(popped == second);
  EXPECT(CUDA_SUCCESS, cuCtxPushCurrent_v2_(primary));
  EXPECT(CUDA_SUCCESS, cuCtxPopCurrent_v2_(NULL));
  EXPECT(CUDA_SUCCESS, cuCtxGetCurrent_(&now));
  CHECK(now == first);
  CHECK(id_of(NULL) == id_of(first) && id_of(first) != id_of(second));
  EXPECT(CUDA_SUCCESS, cuCtxDestroy_v2_(first));
  EXPECT(CUDA_SUCCESS, cuCtxGetCurrent_(&now));
  CHECK(now == NULL);
  EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy_v2_(first));
  EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPushCurrent_v2_(first));
  EXPECT(CUDA_SUCCESS, cuCtxDestroy_v2_(second));
  EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy_v2_(primary));
}

static void separate_things(CUcontext primary) {
  CUcontext own = NULL;
  CUdeviceptr here = 0, there = 0;
  CUstream stream = NULL;
  EXPECT(CUDA_SUCCESS, cuCtxSetCurrent_(primary));
  EXPECT(CUDA_SUCCESS, cuMemAlloc_v2_(&here, 16));
  EXPECT(CUDA_SUCCESS, cuStreamCreate_(&stream, 0));
  const CUfunction function = load_store();
  EXPECT(CUDA_SUCCESS, cuCtxCreate_v2_(&own, 0, 0));
  EXPECT(CUDA_SUCCESS, cuMemAlloc_v2_(&there, 16));
  CHECK(here != there);
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize_(stream));
  EXPECT(CUDA_ERROR_INVALID_HANDLE, store(function, there));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2_(here));
  const CUfunction own_function = load_store();
  EXPECT(CUDA_SUCCESS, store(own_function, there));
  EXPECT(CUDA_SUCCESS, cuCtxSynchronize_());
  /* A fault is the error of its own context. */
  EXPECT(CUDA_SUCCESS, store(own_function, here));
  EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize_());
  EXPECT(CUDA_SUCCESS, cuCtxSetCurrent_(primary));
  EXPECT(CUDA_SUCCESS, store(function, here));
  EXPECT(CUDA_SUCCESS, cuCtxSynchronize_());
  EXPECT(CUDA_SUCCESS, cuCtxDestroy_v2_(own));
}

/* A context may lie where one lay that is gone: only the id tells them apart. */
static void addresses_come_again(CUcontext primary) {
  CUcontext gone = NULL, next = NULL;
  EXPECT(CUDA_SUCCESS, cuCtxCreate_v2_(&gone, 0, 0));
  const unsigned long long id = id_of(gone);
  EXPECT(CUDA_SUCCESS, cuCtxPushCurrent_v2_(gone));
  EXPECT(CUDA_SUCCESS, cuCtxDestroy_v2_(gone));
  EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxSynchronize_());
  EXPECT(CUDA_SUCCESS, cuCtxCreate_v2_(&next, 0, 0));
  CHECK(next == gone);
  CHECK(id_of(next) != id);
  EXPECT(CUDA_SUCCESS, cuCtxSynchronize_());
  EXPECT(CUDA_SUCCESS, cuCtxPopCurrent_v2_(NULL));
  EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxSynchronize_());
  EXPECT(CUDA_SUCCESS, cuCtxPopCurrent_v2_(NULL));
  EXPECT(CUDA_SUCCESS, cuCtxDestroy_v2_(next));

  EXPECT(CUDA_SUCCESS, cuCtxSetCurrent_(primary));
  const unsigned long long before = id_of(primary);
  EXPECT(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2_(0));
  EXPECT(CUDA_SUCCESS, cuCtxSynchronize_());
  CHECK(id_of(primary) != before);
}

int main(int argc, char** argv) {
  CUcontext primary = NULL;
  open_driver(argc, argv);
  load_entries();
  EXPECT(CUDA_SUCCESS, cuInit_(0));
  EXPECT(CUDA_SUCCESS, cuDevicePrimaryCtxRetain_(&primary, 0));
  stacks(primary);
  separate_things(primary);
  addresses_come_again(primary);
  return failures == 0 ? 0 : 1;
}
