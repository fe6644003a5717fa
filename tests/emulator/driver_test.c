/* The stand-in for the driver from C, loaded by name as a program that uses the driver API loads libcuda.so.1: misuse
 * gets the driver's error codes, a right program its results. */
#include <lz4.h>
#include <zstd.h>

#include "driver/abi.h"
#include "driver/report.h"
#include "driver_calls.h"

ENTRY(void, flash_mla_emulator_counters, flash_mla_emulator_totals*);
ENTRY(CUresult, cuInit, unsigned int);
ENTRY(CUresult, cuDeviceGetCount, int*);
ENTRY(CUresult, cuDeviceGet, CUdevice*, int);
ENTRY(CUresult, cuDeviceGetName, char*, int, CUdevice);
ENTRY(CUresult, cuDeviceGetAttribute, int*, CUdevice_attribute, CUdevice);
ENTRY(CUresult, cuDevicePrimaryCtxRetain, CUcontext*, CUdevice);
ENTRY(CUresult, cuDevicePrimaryCtxReset_v2, CUdevice);
ENTRY(CUresult, cuCtxSetCurrent, CUcontext);
ENTRY(CUresult, cuCtxSynchronize, void);
ENTRY(CUresult, cuModuleLoadData, CUmodule*, const void*);
ENTRY(CUresult, cuModuleUnload, CUmodule);
ENTRY(CUresult, cuModuleGetFunction, CUfunction*, CUmodule, const char*);
ENTRY(CUresult, cuModuleGetGlobal_v2, CUdeviceptr*, size_t*, CUmodule, const char*);
ENTRY(CUresult, cuFuncSetAttribute, CUfunction, CUfunction_attribute, int);
ENTRY(CUresult, cuMemAlloc_v2, CUdeviceptr*, size_t);
ENTRY(CUresult, cuMemFree_v2, CUdeviceptr);
ENTRY(CUresult, cuMemcpyHtoD_v2, CUdeviceptr, const void*, size_t);
ENTRY(CUresult, cuMemcpyDtoH_v2, void*, CUdeviceptr, size_t);
ENTRY(CUresult, cuMemcpyHtoDAsync_v2, CUdeviceptr, const void*, size_t, CUstream);
ENTRY(CUresult, cuMemsetD32_v2, CUdeviceptr, unsigned int, size_t);
ENTRY(CUresult, cuStreamCreate, CUstream*, unsigned int);
ENTRY(CUresult, cuStreamDestroy_v2, CUstream);
ENTRY(CUresult, cuStreamSynchronize, CUstream);
ENTRY(CUresult, cuEventCreate, CUevent*, unsigned int);
ENTRY(CUresult, cuEventRecord, CUevent, CUstream);
ENTRY(CUresult, cuEventElapsedTime_v2, float*, CUevent, CUevent);
ENTRY(CUresult, cuEventDestroy_v2, CUevent);
ENTRY(CUresult, cuLaunchKernel, CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
      CUstream, void**, void**);
ENTRY(CUresult, cuLaunchKernelEx, const CUlaunchConfig*, CUfunction, void**, void**);
ENTRY(CUresult, cuTensorMapEncodeTiled, CUtensorMap*, int, uint32_t, void*, const uint64_t*, const uint64_t*,
      const uint32_t*, const uint32_t*, int, int, int, int);
ENTRY(CUresult, cuGetErrorName, CUresult, const char**);
ENTRY(CUresult, cuGetProcAddress_v2, const char*, void**, int, uint64_t, int*);

static void load_entries(void) {
  LOAD(flash_mla_emulator_counters);
  LOAD(cuInit);
  LOAD(cuDeviceGetCount);
  LOAD(cuDeviceGet);
  LOAD(cuDeviceGetName);
  LOAD(cuDeviceGetAttribute);
  LOAD(cuDevicePrimaryCtxRetain);
  LOAD(cuDevicePrimaryCtxReset_v2);
  LOAD(cuCtxSetCurrent);
  LOAD(cuCtxSynchronize);
  LOAD(cuModuleLoadData);
  LOAD(cuModuleUnload);
  LOAD(cuModuleGetFunction);
  LOAD(cuModuleGetGlobal_v2);
  LOAD(cuFuncSetAttribute);
  LOAD(cuMemAlloc_v2);
  LOAD(cuMemFree_v2);
  LOAD(cuMemcpyHtoD_v2);
  LOAD(cuMemcpyDtoH_v2);
  LOAD(cuMemcpyHtoDAsync_v2);
  LOAD(cuMemsetD32_v2);
  LOAD(cuStreamCreate);
  LOAD(cuStreamDestroy_v2);
  LOAD(cuStreamSynchronize);
  LOAD(cuEventCreate);
  LOAD(cuEventRecord);
  LOAD(cuEventElapsedTime_v2);
  LOAD(cuEventDestroy_v2);
  LOAD(cuLaunchKernel);
  LOAD(cuLaunchKernelEx);
  LOAD(cuTensorMapEncodeTiled);
  LOAD(cuGetErrorName);
  LOAD(cuGetProcAddress_v2);
}

static const char kModule[] =
    ".version 8.8\n.target sm_90a\n.address_size 64\n"
    ".global .u32 bias[2] = {100, 200};\n"
    ".visible .entry add(.param .u64 to, .param .u32 n) {\n"
    "  .reg .pred %p; .reg .b32 %r<6>; .reg .b64 %d<4>;\n"
    "  mov.u32 %r0, %tid.x;\n"
    "  mov.u32 %r1, %ctaid.x;\n"
    "  mov.u32 %r2, %ntid.x;\n"
    "  mad.lo.u32 %r0, %r1, %r2, %r0;\n"
    "  ld.param.u32 %r3, [n];\n"
    "  setp.ge.u32 %p, %r0, %r3;\n"
    "  @%p ret;\n"
    "  ld.param.u64 %d0, [to];\n"
    "  mul.wide.u32 %d1, %r0, 4;\n"
    "  add.u64 %d0, %d0, %d1;\n"
    "  ld.global.u32 %r4, [%d0];\n"
    "  ld.global.u32 %r5, [bias+4];\n"
    "  add.u32 %r4, %r4, %r5;\n"
    "  st.global.u32 [%d0], %r4;\n"
    "  ret;\n"
    "}\n";

static void before_init(void) {
  int count = 0;
  CUdeviceptr address = 0;
  EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGetCount_(&count));
  EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc_v2_(&address, 16));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuInit_(1));
}

static void devices(void) {
  int count = 0, value = 0;
  CUdevice device = -1;
  CUcontext context = NULL;
  char name[100];
  CUdeviceptr address = 0;
  EXPECT(CUDA_SUCCESS, cuInit_(0));
  EXPECT(CUDA_SUCCESS, cuDeviceGetCount_(&count));
  CHECK(count == 1);
  EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet_(&device, 1));
  EXPECT(CUDA_SUCCESS, cuDeviceGet_(&device, 0));
  EXPECT(CUDA_SUCCESS, cuDeviceGetName_(name, sizeof(name), device));
  CHECK(strstr(name, "emulator") != NULL);
  EXPECT(CUDA_SUCCESS, cuDeviceGetAttribute_(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device));
  CHECK(value == 9);
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute_(&value, 100000, device));
  EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc_v2_(&address, 16));
  EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSetCurrent_((CUcontext)&count));
  EXPECT(CUDA_SUCCESS, cuDevicePrimaryCtxRetain_(&context, device));
  EXPECT(CUDA_SUCCESS, cuCtxSetCurrent_(context));
}

static void memory(void) {
  CUdeviceptr address = 0;
  char bytes[32] = "0123456789abcdef";
  char back[32] = "";
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAlloc_v2_(&address, 0));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAlloc_v2_(NULL, 16));
  EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2_(&address, (size_t)1 << 40));
  EXPECT(CUDA_SUCCESS, cuMemAlloc_v2_(&address, 16));
  EXPECT(CUDA_SUCCESS, cuMemcpyHtoD_v2_(address, bytes, 16));
  EXPECT(CUDA_SUCCESS, cuMemcpyDtoH_v2_(back, address + 10, 6));
  CHECK(memcmp(back, "abcdef", 6) == 0);
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2_(address, bytes, 17));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2_((CUdeviceptr)(uintptr_t)bytes, bytes, 16));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2_(NULL, address, 16));
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuMemcpyHtoDAsync_v2_(address, bytes, 16, (CUstream)back));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2_(address + 2, 1, 1));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2_(address + 1));
  EXPECT(CUDA_SUCCESS, cuMemFree_v2_(address));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2_(address));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2_(back, address, 1));
}

static void streams(void) {
  CUstream stream = NULL;
  CUevent start = NULL, end = NULL;
  float ms = -1;
  EXPECT(CUDA_SUCCESS, cuStreamCreate_(&stream, 1));
  EXPECT(CUDA_SUCCESS, cuEventCreate_(&start, 0));
  EXPECT(CUDA_SUCCESS, cuEventCreate_(&end, 0));
  EXPECT(CUDA_SUCCESS, cuEventRecord_(start, stream));
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime_v2_(&ms, start, end));
  EXPECT(CUDA_SUCCESS, cuEventRecord_(end, stream));
  EXPECT(CUDA_SUCCESS, cuEventElapsedTime_v2_(&ms, start, end));
  CHECK(ms >= 0);
  EXPECT(CUDA_SUCCESS, cuStreamSynchronize_(stream));
  EXPECT(CUDA_SUCCESS, cuStreamDestroy_v2_(stream));
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy_v2_(stream));
  EXPECT(CUDA_SUCCESS, cuEventDestroy_v2_(start));
  EXPECT(CUDA_SUCCESS, cuEventDestroy_v2_(end));
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventDestroy_v2_(end));
}

static void modules(void) {
  CUmodule module = NULL;
  CUfunction function = NULL;
  CUdeviceptr address = 0;
  size_t size = 0;
  EXPECT(CUDA_ERROR_INVALID_PTX, cuModuleLoadData_(&module, ".version 8.8\n.target sm_90a\nfrob"));
  CHECK(strstr(flash_mla_emulator_message_(), "PTX line 3") != NULL);
  EXPECT(CUDA_ERROR_INVALID_PTX,
         cuModuleLoadData_(&module, ".version 8.8\n.target sm_90a\n.entry k() {\n  frob.u32;\n}"));
  CHECK(strcmp(flash_mla_emulator_message_(), "PTX line 4: instruction frob.u32 is not supported") == 0);
  EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData_(&module, "\177ELF\2\1\1"));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData_(&module, NULL));
  EXPECT(CUDA_SUCCESS, cuModuleLoadData_(&module, kModule));
  EXPECT(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction_(&function, module, "subtract"));
  EXPECT(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal_v2_(&address, &size, module, "none"));
  EXPECT(CUDA_SUCCESS, cuModuleGetGlobal_v2_(&address, &size, module, "bias"));
  CHECK(size == 8);
  EXPECT(CUDA_SUCCESS, cuModuleUnload_(module));
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload_(module));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2_(&size, address, 8));
}

/* A fat binary as nvcc writes them: a header, and one entry with the PTX, as it is or compressed. */
enum { kHeader = 16, kEntry = 64, kNotCompressed = 0, kLz4 = 0x20, kZstd = 0x80 };
static unsigned char* make_fat_binary(const void* payload, uint64_t size, int compression) {
  const uint64_t all = kEntry + size, text_size = sizeof(kModule);
  unsigned char* const image = calloc(1, kHeader + all);
  memcpy(image, "\x50\xed\x55\xba\x01\x00\x10\x00", 8);
  memcpy(image + 8, &all, 8);
  image[kHeader] = 1;
  image[kHeader + 4] = kEntry;
  memcpy(image + kHeader + 8, &size, 8);
  if (compression != kNotCompressed) {
    memcpy(image + kHeader + 16, &size, 4);
    image[kHeader + 41] = (unsigned char)compression;
    memcpy(image + kHeader + 56, &text_size, 8);
  }
  memcpy(image + kHeader + kEntry, payload, size);
  return image;
}

static void fat_binaries(void) {
  CUmodule module = NULL;
  unsigned char* image = make_fat_binary(kModule, sizeof(kModule), kNotCompressed);
  EXPECT(CUDA_SUCCESS, cuModuleLoadData_(&module, image));
  EXPECT(CUDA_SUCCESS, cuModuleUnload_(module));
  image[kHeader] = 2;
  EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData_(&module, image));
  image[kHeader + 13] = 1;
  EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData_(&module, image));
  CHECK(strstr(flash_mla_emulator_message_(), "damaged") != NULL);
  free(image);
}

static void compressed_fat_binaries(void) {
  char packed[2 * sizeof(kModule) + 100];
  CUmodule module = NULL;
  CUfunction function = NULL;
  for (int i = 0; i < 2; ++i) {
    const int compression = i == 0 ? kLz4 : kZstd;
    const uint64_t size =
        i == 0 ? (uint64_t)LZ4_compress_default(kModule, packed, (int)sizeof(kModule), (int)sizeof(packed))
               : ZSTD_compress(packed, sizeof(packed), kModule, sizeof(kModule), 3);
    unsigned char* const image = make_fat_binary(packed, size, compression);
    EXPECT(CUDA_SUCCESS, cuModuleLoadData_(&module, image));
    EXPECT(CUDA_SUCCESS, cuModuleGetFunction_(&function, module, "add"));
    EXPECT(CUDA_SUCCESS, cuModuleUnload_(module));
    image[kHeader + 56] ^= 1; /* another size of the text */
    EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData_(&module, image));
    CHECK(strstr(flash_mla_emulator_message_(), i == 0 ? "LZ4 data are damaged" : "zstd data are damaged") != NULL);
    image[kHeader + 56] ^= 1;
    memset(image + kHeader + kEntry + size / 2, 0x5a, size / 4);
    EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData_(&module, image));
    memset(image + kHeader + 56, 0xff, 8);
    EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData_(&module, image));
    free(image);
  }
}

static void launches(void) {
  enum { n = 100 };
  uint32_t values[n];
  uint32_t count = n;
  CUmodule module = NULL;
  CUfunction add = NULL;
  CUdeviceptr to = 0;
  void* parameters[] = {&to, &count};
  flash_mla_emulator_totals before, after;
  for (uint32_t i = 0; i < n; ++i) values[i] = i;
  EXPECT(CUDA_SUCCESS, cuModuleLoadData_(&module, kModule));
  EXPECT(CUDA_SUCCESS, cuModuleGetFunction_(&add, module, "add"));
  EXPECT(CUDA_SUCCESS, cuMemAlloc_v2_(&to, sizeof(values)));
  EXPECT(CUDA_SUCCESS, cuMemcpyHtoD_v2_(to, values, sizeof(values)));

  EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel_(add, 0, 1, 1, 64, 1, 1, 0, NULL, parameters, NULL));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel_(add, 1, 1, 1, 1025, 1, 1, 0, NULL, parameters, NULL));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel_(add, 1, 1, 1, 64, 1, 1, 65536, NULL, parameters, NULL));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel_(add, 1, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel_((CUfunction)values, 1, 1, 1, 64, 1, 1, 0, NULL, parameters, NULL));
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel_(add, 1, 1, 1, 64, 1, 1, 0, (CUstream)values, parameters, NULL));
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute_(add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 300000));
  EXPECT(CUDA_SUCCESS, cuFuncSetAttribute_(add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 65536));

  flash_mla_emulator_counters_(&before);
  EXPECT(CUDA_SUCCESS, cuLaunchKernel_(add, 2, 1, 1, 64, 1, 1, 65536, NULL, parameters, NULL));
  EXPECT(CUDA_SUCCESS, cuCtxSynchronize_());
  flash_mla_emulator_counters_(&after);
  CHECK(after.launches == before.launches + 1);
  CHECK(after.global_store_bytes - before.global_store_bytes == sizeof(values));

  struct {
    CUdeviceptr to;
    uint32_t count;
  } packed = {to, n};
  size_t size = 12;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size, CU_LAUNCH_PARAM_END};
  CUlaunchAttribute attribute;
  memset(&attribute, 0, sizeof(attribute));
  attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  attribute.value.clusterDim.x = 2;
  attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1;
  CUlaunchConfig config = {2, 1, 1, 64, 1, 1, 0, NULL, &attribute, 1};
  EXPECT(CUDA_SUCCESS, cuLaunchKernelEx_(&config, add, NULL, extra));
  config.gridDimX = 3;
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernelEx_(&config, add, NULL, extra));
  size = 8;
  EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel_(add, 2, 1, 1, 64, 1, 1, 0, NULL, NULL, extra));
  EXPECT(CUDA_SUCCESS, cuMemcpyDtoH_v2_(values, to, sizeof(values)));
  for (uint32_t i = 0; i < n; ++i) CHECK(values[i] == i + 400);

  /* A launch that goes wrong is the error of every later call, until the context is reset. */
  count = n + 1;
  EXPECT(CUDA_SUCCESS, cuLaunchKernel_(add, 2, 1, 1, 64, 1, 1, 0, NULL, parameters, NULL));
  EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize_());
  EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemFree_v2_(to));
  CHECK(strstr(flash_mla_emulator_message_(), "out of bounds: read of 4 bytes at global address") != NULL);
  EXPECT(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2_(0));
  EXPECT(CUDA_SUCCESS, cuCtxSynchronize_());
  EXPECT(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload_(module));
}

static void tensor_maps(void) {
  CUtensorMap map;
  uint64_t extents[2] = {512, 64}, strides[1] = {1024};
  uint32_t box[2] = {64, 64}, steps[2] = {1, 1};
  void* const address = (void*)(uintptr_t)0x700000000000000;
#define ENCODE(map, type, rank, address, swizzle) \
  cuTensorMapEncodeTiled_(map, type, rank, address, extents, strides, box, steps, 0, swizzle, 0, 0)
  EXPECT(CUDA_SUCCESS, ENCODE(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, address, 3));
  EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(NULL, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, address, 3));
  EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(&map, 99, 2, address, 3));
  EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 6, address, 3));
  EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, (char*)address + 8, 3));
  EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, address, 2));
  strides[0] = 1000;
  EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, address, 3));
  strides[0] = 1024;
  box[1] = 257;
  EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, address, 3));
  box[1] = 64;
  box[0] = 4;
  EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, address, 3));
}

int main(int argc, char** argv) {
  const char* name = NULL;
  void* found = NULL;
  open_driver(argc, argv);
  load_entries();
  before_init();
  devices();
  EXPECT(CUDA_SUCCESS, cuGetErrorName_(CUDA_ERROR_INVALID_PTX, &name));
  CHECK(strcmp(name, "CUDA_ERROR_INVALID_PTX") == 0);
  EXPECT(CUDA_SUCCESS, cuGetProcAddress_v2_("cuMemAlloc", &found, 12000, 0, NULL));
  CHECK(memcmp(&found, &cuMemAlloc_v2_, sizeof(found)) == 0);
  EXPECT(CUDA_ERROR_NOT_FOUND, cuGetProcAddress_v2_("cuFrob", &found, 12000, 0, NULL));
  memory();
  streams();
  modules();
  fat_binaries();
  compressed_fat_binaries();
  launches();
  tensor_maps();
  return failures == 0 ? 0 : 1;
}
