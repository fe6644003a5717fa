// A decode call that is right, to be spoiled.
#pragma once

#include "support/run.h"

namespace flash_mla::test {

struct DecodeCall {
  Scene scene;
  Plan plan;
  Output output;
  Memory workspace;
  DecodeArgs args;

  explicit DecodeCall(const SceneSpec& spec, const RunOptions& options = {})
      : scene(spec),
        plan(make_plan(scene, options)),
        output(scene),
        workspace(plan.workspace_size(), Border::poison),
        args(scene.args()) {
    args.out = output.out.view();
    args.lse = output.lse.view();
    args.workspace = workspace.data();
    args.workspace_size = workspace.size();
  }
};

/// b = 2, s_q = 2, h_q = 6, h_kv = 3, d = 16, d_v = 8, pages of 4.
inline SceneSpec small_call(bool ragged, bool separate_v) {
  SceneSpec spec{.shape = {.s_q = 2, .h_q = 6, .h_kv = 3, .d = 16, .d_v = 8, .page_size = 4, .separate_v = separate_v},
                 .seqlens = {9, 5}};
  if (ragged) spec.cu_seqlens_q = {0, 3, 4};
  return spec;
}

}  // namespace flash_mla::test
