// decode() and reference_decode(): arguments and contents, right and wrong, on every backend that this machine has.
//
// A call that was not spoiled has to succeed. A call with a malformed tensor has to be refused. A refused call writes
// nothing. decode() takes no call that the reference refuses. What succeeds has to be right, and has to write nothing
// but its outputs.
#include <algorithm>
#include <vector>

#include "decode_call.h"
#include "judge.h"
#include "require.h"
#include "support/executors.h"
#include "support/run.h"

namespace flash_mla::fuzz {
namespace {

/// What is wrong besides the call's tensors and contents.
enum class Slip { none, workspace_small, workspace_misaligned, workspace_null, executor_empty, other_lengths };

std::vector<int32_t> integers(const test::Array& array) {
  std::vector<int32_t> all;
  if (array.view().absent()) return all;
  for (const double value : array.values()) all.push_back(static_cast<int32_t>(value));
  return all;
}

Result<ReferenceResult> run_reference(const DecodeCall& call) {
  const test::SceneSpec& spec = call.scene.spec();
  Result<ReferenceResult> result = reference_decode(call.args, spec.mask, spec.shape.d_v);
  require(!call.spoiled.malformed || !result.ok(), "the reference took a malformed call");
  require(call.spoiled.anything() || result.ok(), "the reference refused a good call", result.status().message());
  require(call.output.untouched(), "the reference wrote");
  return result;
}

/// decode() with this plan: refused without a trace, or right.
void run_plan(DecodeCall& call, const Plan& plan, Slip slip, bool reverse, const Result<ReferenceResult>& reference) {
  const test::SceneSpec& spec = call.scene.spec();
  const test::Memory workspace(plan.workspace_size() + (slip == Slip::workspace_misaligned ? 8 : 0),
                               test::Border::heap);
  const Executor executors[] = {test::serial_executor(), test::reverse_executor(), {}};
  DecodeArgs args = call.args;
  args.workspace = slip == Slip::workspace_null         ? nullptr
                   : slip == Slip::workspace_misaligned ? workspace.data() + 8
                                                        : workspace.data();
  args.workspace_size = plan.workspace_size() - (slip == Slip::workspace_small ? 1 : 0);
  args.executor = &executors[slip == Slip::executor_empty ? 2 : reverse ? 1 : 0];

  call.output.reset();
  const Status status = decode(plan, args);
  if (status.ok()) {
    require(slip == Slip::none && !call.spoiled.no_out, "took a call that had to be refused");
    require(reference.ok(), "took a call that the reference refuses", reference.status().message());
    judge(args, spec.mask, spec.shape.d_v, reference.value());
    require(call.spoiled.tensors || call.output.surroundings_intact(), "wrote beside its outputs");
    return;
  }
  require(slip != Slip::none || call.spoiled.anything(), "refused a good call", status.message());
  require(!status.message().empty(), "refused without a word");
  require(call.output.untouched(), "wrote although it refused", status.message());
}

void fuzz_decode(Bytes& bytes) {
  static const std::vector<std::string> usable = test::usable_backends();
  static const DecodeCall* current = nullptr;
  static std::string current_backend;
  explain = [] { return current->describe() + "\nbackend: " + current_backend; };
  DecodeCall call(bytes);
  current = &call;
  current_backend = "none yet";
  const Result<ReferenceResult> reference = run_reference(call);

  // The plan follows the arrays' lengths, spoiled or not.
  std::vector<int32_t> seqlens = integers(call.scene.seqlens);
  const std::vector<int32_t> offsets = integers(call.scene.cu_seqlens_q);
  PlanSpec spec = call.scene.plan_spec();
  spec.num_workers = static_cast<int>(bytes.number(1, 5));
  spec.mode = bytes.flag() ? PlanMode::batch_invariant : PlanMode::standard;
  Slip slip = bytes.rarely(8) ? static_cast<Slip>(bytes.number(1, 5)) : Slip::none;
  if (slip == Slip::other_lengths) {
    if (seqlens.empty() || seqlens[0] == INT32_MAX) return;
    ++seqlens[0];
  }
  // A plan for millions of queries is legal, and slow.
  if (std::ranges::any_of(offsets, [](int32_t offset) { return offset > 4096; })) return;
  spec.seqlens = seqlens.data();
  if (call.scene.ragged()) spec.cu_seqlens_q = offsets.data();
  const bool reverse = bytes.flag();
  const bool negative = std::ranges::any_of(seqlens, [](int32_t length) { return length < 0; });
  for (const std::string& backend : usable) {
    spec.backend = current_backend = backend;
    const Result<Plan> plan = Plan::make(spec);
    require(plan.ok() || call.spoiled.contents, "no plan for a good spec", plan.status().message());
    require(!plan.ok() || !negative, "a plan for negative lengths");
    // Lengths of 2^31 are legal for a plan, and partial results of their splits do not fit in memory.
    if (plan.ok() && plan.value().workspace_size() < size_t{1} << 26) {
      run_plan(call, plan.value(), slip, reverse, reference);
    }
  }
}

}  // namespace
}  // namespace flash_mla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  flash_mla::fuzz::Bytes bytes(data, size);
  flash_mla::fuzz::fuzz_decode(bytes);
  return 0;
}
