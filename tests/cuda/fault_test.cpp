// A program of its own: a fault stays with the context, whose later calls all fail.
#include <gtest/gtest.h>

#include "device_call.h"

namespace flash_mla::test {
namespace {

TEST(CudaFault, IsAStatusThatNamesIt) {
  const Scene scene({.shape = {.h_q = 16, .d = 288, .d_v = 256}, .seqlens = {130}});
  DeviceCall call(scene);
  const Plan plan = Plan::make(call.spec()).value();
  call.args.q.data = reinterpret_cast<const void*>(uintptr_t{64});  // no memory there
  Output output(scene);
  const Status status = call.run(plan, output);
  EXPECT_EQ(status.code(), StatusCode::device_error);
  EXPECT_NE(status.message().find("CUDA_ERROR_ILLEGAL_ADDRESS"), std::string::npos) << status.message();
  EXPECT_EQ(CudaMemory::allocate(1).status().code(), StatusCode::device_error) << "the context serves no more";
}

}  // namespace
}  // namespace flash_mla::test
