// Contexts: each has its own memory, modules, streams and events.
#include <algorithm>

#include "driver/state.h"

using namespace emulator::driver;

namespace {

CUctx_st& primary(State& all) {
  return all.contexts.front();
}

CUctx_st* find_context(State& all, CUcontext context) {
  for (CUctx_st& known : all.contexts) {
    if (&known == context && known.alive) return &known;
  }
  fail(CUDA_ERROR_INVALID_CONTEXT, "that is no context");
  return nullptr;
}

/// Everything in it is gone, and what comes next at its address is another context.
void clear(State& all, CUctx_st& context) {
  end_captures_of(all, context);
  std::destroy_at(&context);
  std::construct_at(&context, ++all.last_context_id);
}

CUresult create(State& all, CUcontext* context, CUdevice device) {
  if (context == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the context is null");
  if (const CUresult bad = check_device(device)) return bad;
  const auto vacant = std::find_if(all.contexts.begin(), all.contexts.end(), [](const auto& c) { return !c.alive; });
  CUctx_st* made = nullptr;
  if (vacant != all.contexts.end()) {
    clear(all, *vacant);
    made = &*vacant;
  } else {
    made = &all.contexts.emplace_back(++all.last_context_id);
  }
  context_stack().push_back({made, made->id});
  *context = made;
  return CUDA_SUCCESS;
}

}  // namespace

EMULATOR_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult bad = check_device(device)) return bad;
    ++all.retained;
    *context = &primary(all);
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (const CUresult bad = check_device(device)) return bad;
    if (all.retained == 0)
      return fail(CUDA_ERROR_INVALID_CONTEXT, "the primary context is released more often than retained");
    --all.retained;
    return CUDA_SUCCESS;
  });
}

/// Frees everything and forgets the error of a launch. Threads keep it as their current context.
EMULATOR_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (const CUresult bad = check_device(device)) return bad;
    clear(all, primary(all));
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxCreate_v2(CUcontext* context, unsigned int, CUdevice device) {
  return enter(Needs::driver, [&](State& all) { return create(all, context, device); });
}
EMULATOR_EXPORT CUresult cuCtxCreate_v4(CUcontext* context, const void* parameters, unsigned int, CUdevice device) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (parameters != nullptr) return fail(CUDA_ERROR_NOT_SUPPORTED, "the emulator knows no parameters of contexts");
    return create(all, context, device);
  });
}

/// Takes it from the top of this thread's stack; where it is current otherwise, calls fail from now on.
EMULATOR_EXPORT CUresult cuCtxDestroy_v2(CUcontext context) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    CUctx_st* const found = find_context(all, context);
    if (found == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (found == &primary(all))
      return fail(CUDA_ERROR_INVALID_CONTEXT, "the primary context is released, not destroyed");
    if (!context_stack().empty() && context_stack().back().context == found) context_stack().pop_back();
    clear(all, *found);
    found->alive = false;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxGetId(CUcontext context, unsigned long long* id) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (context == nullptr) {
      if (const CUresult bad = enter_context(all)) return bad;
      context = all.here;
    }
    const CUctx_st* const found = find_context(all, context);
    if (found == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    *id = found->id;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = context_stack().empty() ? nullptr : context_stack().back().context;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (context != nullptr && find_context(all, context) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (!context_stack().empty()) context_stack().pop_back();
    if (context != nullptr) context_stack().push_back({context, context->id});
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return enter(Needs::driver, [&](State& all) -> CUresult {
    if (find_context(all, context) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    context_stack().push_back({context, context->id});
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  return enter(Needs::driver, [&](State&) -> CUresult {
    if (context_stack().empty()) return fail(CUDA_ERROR_INVALID_CONTEXT, "there is no current context");
    if (context != nullptr) *context = context_stack().back().context;
    context_stack().pop_back();
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
  return enter(Needs::context, [&](State&) -> CUresult {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuCtxSynchronize() {
  return enter(Needs::context, [](State& all) -> CUresult {
    if (const CUresult bad = refuse_waiting_for_context(all)) return bad;
    all.here->before.clear();
    return CUDA_SUCCESS;
  });
}
