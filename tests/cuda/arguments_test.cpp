// What the sm90 backend refuses, and with which words.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <thread>
#include <vector>

#include "device_call.h"
#include "flash_mla/backend.h"
#include "flash_mla/flash_mla.h"

namespace flash_mla::test {
namespace {

SceneSpec small() {
  return {.shape = {.h_q = 16, .d = 288, .d_v = 256, .page_size = 8}, .seqlens = {20, 3}};
}

TEST(CudaBackend, IsListedAndTakenByNameOnly) {
  const BackendInfo sm90 = backends().back();
  EXPECT_STREQ(sm90.name, "sm90");
  EXPECT_TRUE(sm90.on_cuda && sm90.built && sm90.usable) << sm90.reason;
  EXPECT_FALSE(find_backend("").value().on_cuda);
  EXPECT_TRUE(find_backend("sm90").value().on_cuda);
}

TEST(CudaBackend, PlansForTheSmsOfTheCurrentDevice) {
  const Scene scene(small());
  const DeviceCall call(scene);
  RunOptions options;
  options.workers = 0;
  const Plan plan = Plan::make(call.spec(options)).value();
  EXPECT_EQ(plan.num_workers(), 132);
  EXPECT_STREQ(plan.backend(), "sm90");
  EXPECT_EQ(plan.num_units(), 2);
  EXPECT_GT(plan.workspace_size(), 0u);
}

TEST(CudaBackend, NeedsACurrentContext) {
  const Scene scene(small());
  const PlanSpec spec = DeviceCall(scene).spec();
  Status status;
  std::thread([&] { status = Plan::make(spec).status(); }).join();  // contexts are current to a thread
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_EQ(status.message(),
            "this thread has no current CUDA context: make one current first (cuda_use_device() does)");
}

TEST(CudaBackend, DevicesAreCounted) {
  EXPECT_EQ(cuda_use_device(-1).message(), "device is -1: the driver sees 1 devices");
  EXPECT_EQ(cuda_use_device(1).code(), StatusCode::invalid_argument);
}

TEST(CudaMemory, CopiesInAStreamsOrder) {
  std::thread([] { EXPECT_EQ(cuda_current_device().value(), -1); }).join();
  ASSERT_TRUE(cuda_use_device(0).ok());
  EXPECT_EQ(cuda_current_device().value(), 0);
  const CudaMemory memory = CudaMemory::allocate(8).value();
  const int32_t written[2] = {3, 5};
  int32_t read[2] = {0, 0};
  EXPECT_TRUE(cuda_write(memory.data(), written, sizeof written, nullptr).ok());
  EXPECT_TRUE(cuda_read(read, memory.data(), sizeof read, nullptr).ok());
  EXPECT_EQ(read[0], 3);
  EXPECT_EQ(read[1], 5);
  EXPECT_TRUE(cuda_read(nullptr, nullptr, 0, nullptr).ok());
  EXPECT_EQ(cuda_read(read, memory.data(), 1 << 20, nullptr).code(), StatusCode::device_error);
}

struct Refusal {
  const char* name;
  void (*spoil)(PlanSpec& spec);
  const char* message;
};

class CudaPlanRefusals : public testing::TestWithParam<Refusal> {};

TEST_P(CudaPlanRefusals, SayWhatIsTaken) {
  const Scene scene(small());
  PlanSpec spec = DeviceCall(scene).spec();
  GetParam().spoil(spec);
  const Status status = Plan::make(spec).status();
  EXPECT_EQ(status.code(), StatusCode::unsupported);
  EXPECT_EQ(status.message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, CudaPlanRefusals,
    testing::Values(Refusal{"float32", [](PlanSpec& spec) { spec.shape.dtype = spec.shape.out_dtype = DType::float32; },
                            "dtype is float32: sm90 takes bfloat16 and float16"},
                    Refusal{"separate_v", [](PlanSpec& spec) { spec.shape.separate_v = true; },
                            "separate_v is true: sm90 takes V as the first d_v columns of K"},
                    Refusal{"widths", [](PlanSpec& spec) { spec.shape.d_v = 128; },
                            "d/d_v is 288/128: sm90 has kernels for 576/512, 512/512, 320/256, 288/256"},
                    Refusal{"pages", [](PlanSpec& spec) { spec.shape.page_size = int64_t{1} << 31; },
                            "page_size is 2147483648: sm90 takes at most 2147483647"}),
    [](const testing::TestParamInfo<Refusal>& tested) { return std::string(tested.param.name); });

/// A call that would run, but for what a test does to it.
class CudaDecodeRefusals : public testing::Test {
 protected:
  Status run() {
    call_.args.out = output_.out.view();
    call_.args.workspace = workspace_.data();
    call_.args.workspace_size = workspace_.size();
    return decode(plan_, call_.args);
  }

  Scene scene_{small()};
  DeviceCall call_{scene_};
  Output output_{scene_};
  Plan plan_ = Plan::make(call_.spec()).value();
  CudaMemory workspace_ = CudaMemory::allocate(plan_.workspace_size()).value();
};

TEST_F(CudaDecodeRefusals, AnotherShapeThanThePlans) {
  call_.args.q.shape[0] = call_.args.out.shape[0] = 1;
  EXPECT_NE(run().code(), StatusCode::ok);
}

TEST_F(CudaDecodeRefusals, AWorkspaceThatIsTooSmall) {
  EXPECT_EQ(plan_.upload(workspace_.data(), 1, nullptr).message(),
            "workspace_size = 1; expected at least plan.workspace_size() = " + std::to_string(plan_.workspace_size()));
  EXPECT_EQ(plan_.upload(nullptr, 0, nullptr).code(), StatusCode::invalid_argument);
}

/// Plans made during its life look at what the device's arrays hold.
class CudaChecks : public CudaDecodeRefusals {
 protected:
  CudaChecks() {
    setenv("FLASH_MLA_CUDA_CHECKS", "1", 1);
    plan_ = Plan::make(call_.spec()).value();
    unsetenv("FLASH_MLA_CUDA_CHECKS");
  }

  static void put(const ConstTensor& array, int64_t element, int32_t value) {
    ASSERT_TRUE(cuda_write(static_cast<char*>(const_cast<void*>(array.data)) + element * 4, &value, 4, nullptr).ok());
  }
};

TEST_F(CudaChecks, APageThatIsNotThereIsNamed) {
  const ConstTensor& table = call_.args.page_table;
  put(table, table.strides[0], 1 << 20);
  const Status status = run();
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_EQ(status.message(), "page_table[1, 0] = 1048576; expected 0 to num_pages - 1 = " +
                                  std::to_string(call_.args.k_cache.shape[0] - 1) + " (the page holds visible keys)");
  EXPECT_TRUE(output_.untouched());
}

TEST_F(CudaChecks, OtherLengthsThanThePlansAreNamed) {
  put(call_.args.seqlens, 0, 2);
  const Status status = run();
  EXPECT_EQ(status.code(), StatusCode::plan_mismatch);
  EXPECT_NE(status.message().find("plan was made for seqlens[0] = "), std::string::npos) << status.message();
}

TEST_F(CudaDecodeRefusals, APageThatIsNotThereReadsAsZerosWithoutChecks) {
  const std::vector<int32_t> none(3, -7);
  void* const first = const_cast<void*>(call_.args.page_table.data);
  ASSERT_TRUE(cuda_write(first, none.data(), none.size() * sizeof(int32_t), nullptr).ok());
  const Status status = call_.run(plan_, output_);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(output_.out.get(0, 0, 3, 5), 0);
  EXPECT_NEAR(output_.lse.get(0, 3, 0), std::log(20), 1e-6);
}

TEST(CudaMemory, RangesAreChecked) {
  ASSERT_TRUE(cuda_use_device(0).ok());
  CudaMemory memory = CudaMemory::allocate(100).value();
  char bytes[100] = {};
  EXPECT_EQ(memory.write(bytes, 60, 41).message(), "offset is 60 and count 41: the memory has 100 bytes");
  EXPECT_EQ(memory.read(bytes, 101, 0).code(), StatusCode::invalid_argument);
  EXPECT_TRUE(memory.write(bytes, 60, 40).ok());
  const Status too_much = CudaMemory::allocate(size_t{1} << 60).status();
  EXPECT_EQ(too_much.code(), StatusCode::device_error);
  EXPECT_NE(too_much.message().find("cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY"), std::string::npos)
      << too_much.message();
}

TEST(CudaInC, PlansUploadNothingOnTheProcessor) {
  flash_mla_plan_spec spec = {};
  flash_mla_plan_spec_init(&spec);
  const int32_t lengths[] = {5};
  spec.batch = 1;
  spec.h_q = 16;
  spec.seqlens = lengths;
  flash_mla_plan* plan = nullptr;
  ASSERT_EQ(flash_mla_plan_create(&spec, &plan), FLASH_MLA_OK) << flash_mla_last_error();
  EXPECT_EQ(flash_mla_plan_upload(plan, nullptr, 0, nullptr), FLASH_MLA_OK);
  EXPECT_EQ(flash_mla_plan_on_device(plan, nullptr, nullptr, 0, nullptr), FLASH_MLA_INVALID_ARGUMENT);
  const flash_mla_const_tensor none = {};
  EXPECT_EQ(flash_mla_plan_on_device(plan, &none, nullptr, 0, nullptr), FLASH_MLA_INVALID_ARGUMENT);
  EXPECT_STREQ(flash_mla_last_error(), "the plan was made without lengths_on_device");
  flash_mla_plan_destroy(plan);
  EXPECT_EQ(flash_mla_plan_upload(nullptr, nullptr, 0, nullptr), FLASH_MLA_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace flash_mla::test
