// A user's program in C++: one query, one key, so the output is that key's value and the lse its score.
#include <flash_mla/flash_mla.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

int fail(const flash_mla::Status& status) {
  std::fprintf(stderr, "%s\n", status.message().c_str());
  return 1;
}

}  // namespace

int main() {
  const std::array<float, 2> q = {2, 3};
  const std::array<float, 2> key = {5, 7};
  const std::array<int32_t, 1> page_table = {0};
  const std::array<int32_t, 1> seqlens = {1};
  std::array<float, 2> out{};
  float lse = 0;

  flash_mla::PlanSpec spec;
  spec.shape.dtype = spec.shape.out_dtype = flash_mla::DType::float32;
  spec.shape.batch = spec.shape.h_q = spec.shape.page_size = 1;
  spec.shape.d = spec.shape.d_v = 2;
  spec.seqlens = seqlens.data();
  const auto plan = flash_mla::Plan::make(spec);
  if (!plan.ok()) return fail(plan.status());

  std::vector<char> workspace(plan.value().workspace_size() + flash_mla::kWorkspaceAlignment);
  const auto past = reinterpret_cast<uintptr_t>(workspace.data()) % flash_mla::kWorkspaceAlignment;
  flash_mla::DecodeArgs args;
  args.q = {q.data(), flash_mla::DType::float32, {1, 1, 1, 2}};
  args.k_cache = {key.data(), flash_mla::DType::float32, {1, 1, 1, 2}};
  args.page_table = {page_table.data(), flash_mla::DType::int32, {1, 1}};
  args.seqlens = {seqlens.data(), flash_mla::DType::int32, {1}};
  args.out = {out.data(), flash_mla::DType::float32, {1, 1, 1, 2}};
  args.lse = {&lse, flash_mla::DType::float32, {1, 1, 1}};
  args.scale = 1.0;
  args.workspace = workspace.data() + (flash_mla::kWorkspaceAlignment - past);
  args.workspace_size = plan.value().workspace_size();
  if (const auto status = flash_mla::decode(plan.value(), args); !status.ok()) return fail(status);

  const bool right = out[0] == 5 && out[1] == 7 && std::abs(lse - 31) < 1e-4;
  std::printf("flash_mla %s: out = [%g, %g], lse = %g\n", flash_mla::version(), out[0], out[1], lse);
  return right ? 0 : 1;
}
