#include "dispatch/registry.h"

#include <array>
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "cuda/device.h"
#include "cuda/kernels.h"
#include "dispatch/cpu_features.h"

namespace flash_mla {

namespace dispatch {

namespace {

constexpr const char* kNotBuilt = "not built: this library is for another architecture";

Backend make(const char* name, const char* description, const cpu::Kernels* kernels, bool machine_has_it,
             const char* missing) {
  const bool built = kernels != nullptr;
  const bool usable = built && machine_has_it;
  const char* reason = usable ? "" : built ? missing : kNotBuilt;
  return {{name, description, built, usable, reason, false}, kernels};
}

using Registry = std::array<Backend, 6>;

Registry make_registry() {
  const CpuFeatures& has = cpu_features();
  const cpu::Kernels *avx512_bf16 = nullptr, *avx512 = nullptr, *avx2 = nullptr, *neon_bf16 = nullptr, *neon = nullptr;
#if defined(__x86_64__)
  avx512_bf16 = &cpu::kAvx512Bf16Kernels;
  avx512 = &cpu::kAvx512Kernels;
  avx2 = &cpu::kAvx2Kernels;
#elif defined(__aarch64__)
  neon_bf16 = &cpu::kNeonBf16Kernels;
  neon = &cpu::kNeonKernels;
#endif
  return {
      make("avx512_bf16", "AVX-512 F, BW, DQ, VL and BF16", avx512_bf16, has.avx512_bf16,
           "this processor or operating system lacks AVX512_BF16"),
      make("avx512", "AVX-512 F, BW, DQ and VL", avx512, has.avx512,
           "this processor or operating system lacks AVX-512"),
      make("avx2", "AVX2, FMA and F16C", avx2, has.avx2, "this processor or operating system lacks AVX2, FMA or F16C"),
      make("neon_bf16", "Advanced SIMD and BF16", neon_bf16, has.neon_bf16, "this processor lacks FEAT_BF16"),
      make("neon", "Advanced SIMD", neon, has.neon, "this processor lacks Advanced SIMD"),
      make("scalar", "any processor", &cpu::kScalarKernels, true, "")};
}

const Registry& registry() {
  static const Registry backends = make_registry();
  return backends;
}

constexpr const char* kSm90 = "sm90";

/// Apart, as it opens the driver.
const Backend& sm90() {
  static const std::string reason = cuda::why_unusable();
  static const Backend backend = {{kSm90, "CUDA, compute capability 9.0 (Hopper)", cuda::kSm90Image != nullptr,
                                   reason.empty(), reason.c_str(), true},
                                  nullptr};
  return backend;
}

std::string all_names() {
  std::string names;
  for (const Backend& backend : registry()) names += std::string(backend.info.name) + ", ";
  return names + kSm90;
}

Result<const Backend*> take(const Backend& backend, std::string_view origin) {
  if (backend.info.usable) return &backend;
  return core::error(StatusCode::unsupported, "{} = {} cannot be used here: {}", origin, backend.info.name,
                     backend.info.reason);
}

}  // namespace

Result<const Backend*> choose_backend(std::string_view name) {
  std::string_view origin = "backend";
  if (name.empty()) {
    if (const char* forced = std::getenv("FLASH_MLA_BACKEND"); forced != nullptr && *forced != '\0') {
      name = forced;
      origin = "$FLASH_MLA_BACKEND";
    }
  }
  for (const Backend& backend : registry()) {
    if (name.empty() ? backend.info.usable : name == backend.info.name) return take(backend, origin);
  }
  if (name == kSm90) return take(sm90(), origin);
  return core::error(StatusCode::not_found, "{} = {}; expected one of {}", origin, name, all_names());
}

}  // namespace dispatch

std::span<const BackendInfo> backends() {
  static const auto infos = [] {
    std::array<BackendInfo, std::tuple_size_v<dispatch::Registry> + 1> list{};
    for (size_t i = 0; i + 1 < list.size(); ++i) list[i] = dispatch::registry()[i].info;
    list.back() = dispatch::sm90().info;
    return list;
  }();
  return infos;
}

Result<BackendInfo> find_backend(std::string_view name) {
  Result<const dispatch::Backend*> found = dispatch::choose_backend(name);
  if (!found.ok()) return found.status();
  return found.value()->info;
}

}  // namespace flash_mla
