// Modules: PTX texts, plain or in a fat binary. Every kernel of a module is decoded when it is loaded, so that what the
// machine does not have is refused there.
#include <algorithm>
#include <cstring>

#include "driver/fatbin.h"
#include "driver/state.h"
#include "ptx/parse.h"
#include "support/format.h"

using namespace emulator::driver;
using emulator::format;
namespace machine = emulator::machine;
namespace ptx = emulator::ptx;

namespace {

CUresult refuse(const ptx::Error& error) {
  return fail(CUDA_ERROR_INVALID_PTX, format("PTX line {}: {}", error.line, error.message));
}

void release_variables(State& all, const CUmod_st& module) {
  for (size_t i = 0; i < module.addresses.size(); ++i) {
    if (module.source.variables[i].space != ptx::Space::shared) all.memory.free(module.addresses[i]);
  }
}

void allocate_variables(State& all, CUmod_st& module) {
  for (const ptx::Variable& variable : module.source.variables) {
    if (variable.space == ptx::Space::shared) {
      module.addresses.push_back(0);
      continue;
    }
    const uint64_t address = all.memory.allocate(std::max<uint64_t>(variable.size, 1));
    machine::Allocation& allocation = *all.memory.find(address, 1);
    std::fill(allocation.bytes.begin(), allocation.bytes.end(), uint8_t{0});
    std::copy(variable.initial.begin(), variable.initial.end(), allocation.bytes.begin());
    machine::mark(allocation.initialised.data(), 0, allocation.size);
    allocation.read_only = variable.space == ptx::Space::constant;
    module.addresses.push_back(address);
  }
}

CUresult load(State& all, CUmodule* result, const void* image) {
  if (result == nullptr || image == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the module or the image is null");
  std::string text;
  if (std::strncmp(static_cast<const char*>(image),
                   "\x7f"
                   "ELF",
                   4) == 0) {
    return fail(CUDA_ERROR_INVALID_IMAGE, "the image is a cubin; the emulator runs PTX");
  }
  if (is_fatbin(image)) {
    auto found = ptx_of_fatbin(image);
    if (const auto* none = std::get_if<NoPtx>(&found)) return fail(CUDA_ERROR_INVALID_IMAGE, none->why);
    text = std::move(std::get<std::string>(found));
  } else {
    text = static_cast<const char*>(image);
  }
  auto parsed = ptx::parse(text);
  if (const auto* error = std::get_if<ptx::Error>(&parsed)) return refuse(*error);
  auto module = std::make_unique<CUmod_st>();
  module->source = std::move(std::get<ptx::Module>(parsed));
  allocate_variables(all, *module);
  for (const ptx::Function& function : module->source.functions) {
    if (!function.entry || !function.has_body) continue;
    auto decoded = machine::decode(module->source, function, module->addresses);
    if (const auto* error = std::get_if<ptx::Error>(&decoded)) {
      release_variables(all, *module);
      return refuse(*error);
    }
    auto kernel = std::make_unique<CUfunc_st>();
    kernel->module = module.get();
    kernel->program = std::move(std::get<0>(decoded));
    module->functions.push_back(std::move(kernel));
  }
  *result = all.modules.insert(std::move(module)).first->get();
  return CUDA_SUCCESS;
}

/// For calls on one module.
template <class F>
CUresult on_module(CUmodule module, F body) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (find_handle(all.modules, module) == all.modules.end())
      return fail(CUDA_ERROR_INVALID_HANDLE, "that is no module");
    return body(all);
  });
}

template <class F>
CUresult on_function(CUfunction function, F body) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (!is_function(all, function)) return fail(CUDA_ERROR_INVALID_HANDLE, "that is no function");
    return body(all);
  });
}

}  // namespace

EMULATOR_EXPORT CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return enter(Needs::context, [&](State& all) { return load(all, module, image); });
}
EMULATOR_EXPORT CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned int, const int*, void**) {
  return enter(Needs::context, [&](State& all) { return load(all, module, image); });
}
EMULATOR_EXPORT CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  return enter(Needs::context, [&](State& all) { return load(all, module, image); });
}

EMULATOR_EXPORT CUresult cuModuleUnload(CUmodule module) {
  return on_module(module, [&](State& all) -> CUresult {
    release_variables(all, *module);
    all.before.clear();
    all.modules.erase(find_handle(all.modules, module));
    return CUDA_SUCCESS;
  });
}

EMULATOR_EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return on_module(module, [&](State&) -> CUresult {
    if (function == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (const auto& known : module->functions) {
      if (known->program->name != name) continue;
      *function = known.get();
      return CUDA_SUCCESS;
    }
    return fail(CUDA_ERROR_NOT_FOUND, format("the module has no kernel {}", name));
  });
}

EMULATOR_EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr* address, size_t* size, CUmodule module, const char* name) {
  return on_module(module, [&](State&) -> CUresult {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < module->addresses.size(); ++i) {
      const ptx::Variable& variable = module->source.variables[i];
      if (variable.name != name || variable.space == ptx::Space::shared) continue;
      if (address != nullptr) *address = module->addresses[i];
      if (size != nullptr) *size = variable.size;
      return CUDA_SUCCESS;
    }
    return fail(CUDA_ERROR_NOT_FOUND, format("the module has no variable {}", name));
  });
}

EMULATOR_EXPORT CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  return on_function(function, [&](State&) -> CUresult {
    const auto fixed = static_cast<int>(function->program->static_shared_end - machine::kSharedStart);
    switch (attribute) {
      case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        if (value < 0 || value > 232448 - fixed) {
          return fail(CUDA_ERROR_INVALID_VALUE,
                      format("{} bytes of dynamic shared memory; at most {} are allowed", value, 232448 - fixed));
        }
        function->max_dynamic_shared = static_cast<uint32_t>(value);
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
        return CUDA_SUCCESS;
      default:
        return fail(CUDA_ERROR_INVALID_VALUE, format("function attribute {} cannot be set", attribute));
    }
  });
}

EMULATOR_EXPORT CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  return on_function(function, [&](State&) -> CUresult {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const machine::Program& program = *function->program;
    const auto& most = program.max_threads;
    switch (attribute) {
      case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = most[0] == 0 ? 1024 : static_cast<int>(most[0] * most[1] * most[2]);
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *value = static_cast<int>(program.static_shared_end - machine::kSharedStart);
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *value = static_cast<int>(program.local_bytes);
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = static_cast<int>(function->max_dynamic_shared);
        return CUDA_SUCCESS;
      default:
        return fail(CUDA_ERROR_INVALID_VALUE, format("function attribute {} is not known to the emulator", attribute));
    }
  });
}
