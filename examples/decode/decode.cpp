#include <flash_mla/flash_mla.hpp>

#include <cstdio>
#include <memory>
#include <vector>

int main() {
  using namespace flash_mla;
  const int64_t b = 2, h_q = 16, d = 576, d_v = 512, pages = 5, page = 64;
  std::vector<float> q(b * h_q * d, 0.1f), cache(pages * page * d, 0.2f), out(b * h_q * d_v), lse(b * h_q);
  const std::vector<int32_t> table = {3, 1, 4, 0, 2, -1}, seqlens = {150, 70};  // the second sequence has two pages

  PlanSpec spec;
  spec.shape = {.dtype = DType::float32, .out_dtype = DType::float32, .batch = b, .h_q = h_q, .d = d, .d_v = d_v};
  spec.seqlens = seqlens.data();
  const Result<Plan> plan = Plan::make(spec);  // once a step: serves every layer
  if (!plan.ok()) return std::puts(plan.status().message().c_str()), 1;

  std::vector<char> workspace(plan.value().workspace_size() + kWorkspaceAlignment);
  DecodeArgs args;
  args.q = {q.data(), DType::float32, {b, 1, h_q, d}};
  args.k_cache = {cache.data(), DType::float32, {pages, page, 1, d}};
  args.page_table = {table.data(), DType::int32, {b, 3}};
  args.seqlens = {seqlens.data(), DType::int32, {b}};
  args.out = {out.data(), DType::float32, {b, 1, h_q, d_v}};
  args.lse = {lse.data(), DType::float32, {b, h_q, 1}};
  void* aligned = workspace.data();
  size_t space = workspace.size();
  args.workspace = std::align(kWorkspaceAlignment, plan.value().workspace_size(), aligned, space);
  args.workspace_size = plan.value().workspace_size();
  if (const Status done = decode(plan.value(), args); !done.ok()) return std::puts(done.message().c_str()), 1;
  std::printf("%s: out %.3f, lse %.3f\n", plan.value().backend(), out[0], lse[0]);
}
