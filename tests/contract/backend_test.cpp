// Backends: the list, the choice, and the proof that the one that was asked for is the one that runs.
#include "flash_mla/backend.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>

#include "decode_call.h"
#include "per_backend.h"
#include "refusal.h"
#include "support/profile.h"

namespace flash_mla::test {
namespace {

/// $FLASH_MLA_BACKEND while this lives.
class Environment {
 public:
  explicit Environment(const std::string& value) { setenv(kName, value.c_str(), 1); }
  ~Environment() { had_ ? setenv(kName, before_.c_str(), 1) : unsetenv(kName); }

 private:
  static constexpr const char* kName = "FLASH_MLA_BACKEND";
  bool had_ = std::getenv(kName) != nullptr;
  std::string before_ = had_ ? std::getenv(kName) : "";
};

const std::string kNames = "avx512_bf16, avx512, avx2, neon_bf16, neon, scalar, sm90";

TEST(Backends, TheList) {
  std::string names;
  for (const BackendInfo& backend : backends()) {
    names += (names.empty() ? "" : ", ") + std::string(backend.name);
    EXPECT_FALSE(backend.usable && !backend.built) << backend.name;
    EXPECT_EQ(std::string(backend.reason).empty(), backend.usable) << backend.name;
    EXPECT_FALSE(std::string(backend.description).empty()) << backend.name;
  }
  EXPECT_EQ(names, kNames);
  EXPECT_TRUE(find_backend("scalar").ok()) << "scalar runs everywhere";
  EXPECT_EQ(backends().data(), backends().data());
}

TEST(Backends, TheBestUsableOneIsTheDefault) {
  const Environment none("");
  const auto best = std::ranges::find_if(backends(), [](const BackendInfo& backend) { return backend.usable; });
  EXPECT_STREQ(find_backend("").value().name, best->name);
  EXPECT_STREQ(make_plan(Scene(small_call(false, false)), {}).backend(), best->name);
}

TEST(Backends, UnknownOnesAreRefused) {
  for (const std::string name : {"avx", "AVX2", " scalar", "scalar ", "cuda"}) {
    EXPECT_TRUE(is_refused(find_backend(name).status(), "backend = " + name + "; expected one of " + kNames,
                           StatusCode::not_found));
  }
}

TEST(Backends, UnusableOnesAreRefused) {
  for (const BackendInfo& backend : backends()) {
    if (backend.usable) continue;
    const std::string message = std::string(backend.name) + " cannot be used here: " + backend.reason;
    EXPECT_TRUE(is_refused(find_backend(backend.name).status(), "backend = " + message, StatusCode::unsupported));
    const Environment forced(backend.name);
    EXPECT_TRUE(is_refused(find_backend("").status(), "$FLASH_MLA_BACKEND = " + message, StatusCode::unsupported));
  }
}

TEST(Backends, TheEnvironmentIsCheckedToo) {
  const Environment forced("sse");
  const std::string message = "$FLASH_MLA_BACKEND = sse; expected one of " + kNames;
  EXPECT_TRUE(is_refused(find_backend("").status(), message, StatusCode::not_found));
  EXPECT_TRUE(
      is_refused(Plan::make(Scene(small_call(false, false)).plan_spec()).status(), message, StatusCode::not_found));
  EXPECT_TRUE(find_backend("scalar").ok());
}

class ForcedBackend : public PerBackend {
 protected:
  /// What the names of a backend's functions for bfloat16 contain, and no other backend's.
  static std::string mark_of(const std::string& backend) {
    const std::map<std::string, std::string> marks = {
        {"avx512_bf16", "::Avx512Bf16Math"}, {"avx512", "::Avx512>"}, {"avx2", "::Avx2>"},
        {"neon_bf16", "::NeonBf16Math"},     {"neon", "::Neon>"},     {"scalar", "::Scalar>"},
        {"sm90", "flash_mla::cuda::"}};
    return marks.at(backend);
  }

  /// The functions with the products. What a backend shares with another, a compiler may keep once for both.
  static bool multiplies(const std::string& function) {
    return std::ranges::any_of(std::array{"::qk_tile<", "::pv_rows<"},
                               [&](const char* name) { return function.find(name) != std::string::npos; });
  }

  /// Decodes with this plan and looks where the program counter is.
  static void expect_to_run(const std::string& backend, const RunOptions& with) {
    DecodeCall call({.shape = {.h_q = 32, .d = 256, .d_v = 256}, .seqlens = {500}}, with);
    EXPECT_EQ(call.plan.backend(), backend);
    std::map<std::string, int> hits;
    int in_kernels = 0;
    for (const std::string& function : sampled_functions(40, [&] { ASSERT_TRUE(decode(call.plan, call.args).ok()); })) {
      if (!multiplies(function)) continue;
      ++in_kernels;
      for (const BackendInfo& one : backends()) {
        if (function.find(mark_of(one.name)) != std::string::npos) ++hits[one.name];
      }
    }
    EXPECT_GE(in_kernels, 20);
    for (const BackendInfo& one : backends()) {
      if (one.name == backend) {
        EXPECT_GE(hits[one.name], in_kernels * 9 / 10);
      } else {
        EXPECT_EQ(hits[one.name], 0) << one.name << " ran instead of " << backend;
      }
    }
  }
};

TEST_P(ForcedBackend, Runs) {
  expect_to_run(GetParam(), {.backend = GetParam()});
}

TEST_P(ForcedBackend, ByTheEnvironmentRuns) {
  const Environment forced(GetParam());
  EXPECT_EQ(find_backend("").value().name, GetParam());
  expect_to_run(GetParam(), {});
}

TEST_P(ForcedBackend, ByNameGoesBeforeTheEnvironment) {
  const Environment forced("scalar");
  expect_to_run(GetParam(), {.backend = GetParam()});
}

FLASH_MLA_PER_BACKEND(ForcedBackend);

}  // namespace
}  // namespace flash_mla::test
