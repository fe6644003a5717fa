#include "support/run.h"

#include <gtest/gtest.h>

#include "flash_mla/backend.h"

namespace flash_mla::test {

Plan make_plan(const Scene& scene, const RunOptions& options) {
  PlanSpec spec = scene.plan_spec();
  spec.backend = options.backend;
  spec.num_workers = options.workers;
  spec.mode = options.mode;
  Result<Plan> plan = Plan::make(spec);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return std::move(plan).value();
}

Status run_into(const Scene& scene, const Plan& plan, const RunOptions& options, Output& output) {
  const Memory workspace(plan.workspace_size(), scene.spec().border);
  DecodeArgs args = scene.args();
  args.out = output.out.view();
  if (options.with_lse) args.lse = output.lse.view();
  args.workspace = workspace.data();
  args.workspace_size = workspace.size();
  args.executor = options.executor;
  const Status status = decode(plan, args);
  EXPECT_TRUE(workspace.surroundings_intact()) << "memory beside the workspace was written";
  return status;
}

Output run(const Scene& scene, const RunOptions& options) {
  Output output(scene);
  const Status status = run_into(scene, make_plan(scene, options), options, output);
  EXPECT_TRUE(status.ok()) << status.message();
  return output;
}

std::vector<std::string> usable_backends() {
  std::vector<std::string> names;
  for (const BackendInfo& backend : backends()) {
    if (backend.usable && !backend.on_cuda) names.emplace_back(backend.name);
  }
  return names;
}

}  // namespace flash_mla::test
