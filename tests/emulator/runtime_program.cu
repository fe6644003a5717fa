// A program as nvcc's users write them: it knows nothing of the emulator.
#include <cooperative_groups.h>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                        \
    }                                                                      \
  } while (0)

__constant__ float scale;
__device__ int launches = 5;

__device__ __noinline__ float polynomial(float x, int degree) {
  float result = 0;
  for (int i = 0; i <= degree; ++i) result = result * x + 1;
  return result;
}

__global__ void axpy(float a, const float* x, float* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] += scale * a * polynomial(x[i], i % 3);
  if (i == 0) ++launches;
}

__global__ void reverse(int* values) {
  extern __shared__ int staged[];
  staged[threadIdx.x] = values[threadIdx.x];
  __syncthreads();
  values[threadIdx.x] = staged[blockDim.x - 1 - threadIdx.x];
}

// Every CTA of the cluster reads its neighbour's shared memory.
__global__ void neighbours(int* ranks) {
  namespace cg = cooperative_groups;
  __shared__ int own;
  auto cluster = cg::this_cluster();
  if (threadIdx.x == 0) own = static_cast<int>(cluster.block_rank());
  cluster.sync();
  const unsigned next = (cluster.block_rank() + 1) % cluster.num_blocks();
  if (threadIdx.x == 0) ranks[blockIdx.x] = *cluster.map_shared_rank(&own, next);
  cluster.sync();
}

__global__ void greet(int who) {
  if (threadIdx.x < 2) printf("block %u thread %u says %d, %.1f, %s\n", blockIdx.x, threadIdx.x, who, 0.5, "hello");
}

__global__ void insist(int value) {
  assert(value == 3);
}

__device__ int choose(int which, int x) {
  switch (which) {
    case 0:
      return x + 1;
    case 1:
      return x * 3;
    case 2:
      return x ^ 5;
    case 3:
      return x - 7;
    case 4:
      return x << 2;
    case 5:
      return ~x;
    default:
      return 0;
  }
}
__global__ void switches(int* values) {
  values[threadIdx.x] = choose(static_cast<int>(threadIdx.x) % 7, values[threadIdx.x]);
}

static void arithmetic() {
  const int n = 1000;
  std::vector<float> x(n), y(n, 1);
  for (int i = 0; i < n; ++i) x[i] = static_cast<float>(i % 7);
  float *device_x = nullptr, *device_y = nullptr;
  CHECK(cudaMalloc(&device_x, n * sizeof(float)) == cudaSuccess);
  CHECK(cudaMalloc(&device_y, n * sizeof(float)) == cudaSuccess);
  CHECK(cudaMemcpy(device_x, x.data(), n * sizeof(float), cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy(device_y, y.data(), n * sizeof(float), cudaMemcpyDefault) == cudaSuccess);
  const float two = 2;
  CHECK(cudaMemcpyToSymbol(scale, &two, sizeof(two)) == cudaSuccess);
  axpy<<<(n + 127) / 128, 128>>>(3, device_x, device_y, n);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(cudaMemcpy(y.data(), device_y, n * sizeof(float), cudaMemcpyDeviceToHost) == cudaSuccess);
  for (int i = 0; i < n; ++i) {
    float expected = 0;
    for (int k = 0; k <= i % 3; ++k) expected = expected * x[i] + 1;
    CHECK(y[i] == 1 + 6 * expected);
  }
  int count = 0;
  CHECK(cudaMemcpyFromSymbol(&count, launches, sizeof(count)) == cudaSuccess);
  CHECK(count == 6);
  CHECK(cudaFree(device_x) == cudaSuccess && cudaFree(device_y) == cudaSuccess);
}

static void shared_memory() {
  const int n = 256;
  std::vector<int> values(n);
  for (int i = 0; i < n; ++i) values[i] = i;
  int* device = nullptr;
  CHECK(cudaMalloc(&device, n * sizeof(int)) == cudaSuccess);
  CHECK(cudaMemcpy(device, values.data(), n * sizeof(int), cudaMemcpyHostToDevice) == cudaSuccess);
  // More than 48 KiB have to be asked for.
  reverse<<<1, n, 100000>>>(device);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(reverse, cudaFuncAttributeMaxDynamicSharedMemorySize, 100000) == cudaSuccess);
  reverse<<<1, n, 100000>>>(device);
  switches<<<1, n>>>(device);
  CHECK(cudaMemcpy(values.data(), device, n * sizeof(int), cudaMemcpyDeviceToHost) == cudaSuccess);
  for (int i = 0; i < n; ++i) {
    const int x = n - 1 - i;
    const int expected[] = {x + 1, x * 3, x ^ 5, x - 7, x << 2, ~x, 0};
    CHECK(values[i] == expected[i % 7]);
  }
  CHECK(cudaFree(device) == cudaSuccess);
}

static void clusters() {
  int* device = nullptr;
  int ranks[8];
  CHECK(cudaMalloc(&device, sizeof(ranks)) == cudaSuccess);
  cudaLaunchConfig_t config = {};
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = 4;
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  config.gridDim = dim3(8);
  config.blockDim = dim3(32);
  config.attrs = &attribute;
  config.numAttrs = 1;
  CHECK(cudaLaunchKernelEx(&config, neighbours, device) == cudaSuccess);
  CHECK(cudaMemcpy(ranks, device, sizeof(ranks), cudaMemcpyDeviceToHost) == cudaSuccess);
  for (int i = 0; i < 8; ++i) CHECK(ranks[i] == (i + 1) % 4);
  CHECK(cudaFree(device) == cudaSuccess);
}

static void graphs() {
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  int* device = nullptr;
  int first = -1;
  CHECK(cudaMalloc(&device, 128 * sizeof(int)) == cudaSuccess);
  CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
  CHECK(cudaMemsetAsync(device, 0, 128 * sizeof(int), stream) == cudaSuccess);
  switches<<<1, 128, 0, stream>>>(device);
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
  for (int i = 0; i < 2; ++i) CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(cudaMemcpy(&first, device, sizeof(first), cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(first == 1);
  CHECK(cudaGraphExecDestroy(exec) == cudaSuccess && cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}

static void errors() {
  axpy<<<1, 32>>>(1, nullptr, nullptr, 1);
  CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
  CHECK(cudaGetLastError() == cudaErrorIllegalAddress);
  CHECK(std::strcmp(cudaGetErrorString(cudaErrorIllegalAddress), "an illegal memory access was encountered") == 0);
  CHECK(cudaDeviceReset() == cudaSuccess);
  insist<<<1, 1>>>(3);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  insist<<<1, 1>>>(4);
  CHECK(cudaDeviceSynchronize() == cudaErrorAssert);
}

int main() {
  int major = 0;
  CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess && major == 9);
  arithmetic();
  shared_memory();
  clusters();
  graphs();
  greet<<<2, 64>>>(7);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  errors();
  return 0;
}
