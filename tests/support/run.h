// Plans and decodes a scene.
#pragma once

#include <string>
#include <vector>

#include "support/scene.h"

namespace flash_mla::test {

struct RunOptions {
  std::string backend;
  int workers = 1;
  const Executor* executor = nullptr;
  PlanMode mode = PlanMode::standard;
  bool with_lse = true;
};

/// The plan of a scene, which has to exist.
Plan make_plan(const Scene& scene, const RunOptions& options);

/// One decode with a workspace of its own, of exactly the plan's size and poisoned, bordered as the scene's arrays are.
Status run_into(const Scene& scene, const Plan& plan, const RunOptions& options, Output& output);

/// All of it. A refusal fails the test.
Output run(const Scene& scene, const RunOptions& options);

/// What this machine can run, best first: values for INSTANTIATE_TEST_SUITE_P.
std::vector<std::string> usable_backends();

}  // namespace flash_mla::test
