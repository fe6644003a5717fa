// Launches run at once; what they do wrong is the context's error from then on, as a launch's is on the real machine.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

#include "driver/state.h"
#include "support/format.h"

using namespace emulator::driver;
using emulator::format;
namespace machine = emulator::machine;

namespace {

CUresult error_of(machine::Finding finding) {
  switch (finding) {
    case machine::Finding::out_of_bounds:
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    case machine::Finding::misaligned:
      return CUDA_ERROR_MISALIGNED_ADDRESS;
    case machine::Finding::operand:
      return CUDA_ERROR_ILLEGAL_INSTRUCTION;
    case machine::Finding::deadlock:
      return CUDA_ERROR_LAUNCH_TIMEOUT;
    default:
      return CUDA_ERROR_LAUNCH_FAILED;
  }
}

const char* setting(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

machine::Options options_of_environment() {
  machine::Options options;
  if (const char* const seed = setting("FLASH_MLA_EMULATOR_SEED")) options.seed = std::strtoull(seed, nullptr, 10);
  if (const char* const checks = setting("FLASH_MLA_EMULATOR_CHECKS")) options.checks = std::strcmp(checks, "0") != 0;
  return options;
}

/// FLASH_MLA_EMULATOR_LOG: a file to append reports to; without it they go to stderr.
void log(const machine::Report& report) {
  const std::string line = "flash_mla emulator: " + report.message + "\n";
  if (const char* const path = setting("FLASH_MLA_EMULATOR_LOG")) {
    std::ofstream(path, std::ios::app) << line;
  } else {
    std::cerr << line;
  }
}

CUresult gather_parameters(const machine::Program& program, void** parameters, void** extra,
                           std::vector<uint8_t>& bytes) {
  bytes.assign(program.parameter_bytes, 0);
  if (program.parameters.empty()) return CUDA_SUCCESS;
  if (parameters != nullptr) {
    for (size_t i = 0; i < program.parameters.size(); ++i) {
      if (parameters[i] == nullptr)
        return fail(CUDA_ERROR_INVALID_VALUE, format("parameter {} of {} is null", i, program.name));
      std::memcpy(bytes.data() + program.parameters[i].offset, parameters[i], program.parameters[i].size);
    }
    return CUDA_SUCCESS;
  }
  const void* buffer = nullptr;
  size_t size = 0;
  for (size_t i = 0; extra != nullptr && extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
    if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER) {
      buffer = extra[i + 1];
    } else if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE && extra[i + 1] != nullptr) {
      size = *static_cast<size_t*>(extra[i + 1]);
    } else {
      return fail(CUDA_ERROR_INVALID_VALUE, "an unknown entry of `extra`");
    }
  }
  if (buffer == nullptr || size != program.parameter_bytes) {
    return fail(CUDA_ERROR_INVALID_VALUE,
                format("{} takes {} bytes of parameters; {} are given", program.name, program.parameter_bytes, size));
  }
  std::memcpy(bytes.data(), buffer, size);
  return CUDA_SUCCESS;
}

CUresult read_attributes(const CUlaunchConfig& config, machine::LaunchShape& shape) {
  if (config.numAttrs != 0 && config.attrs == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the attributes are null");
  for (unsigned int i = 0; i < config.numAttrs; ++i) {
    const CUlaunchAttribute& attribute = config.attrs[i];
    switch (attribute.id) {
      case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        shape.cluster = {attribute.value.clusterDim.x, attribute.value.clusterDim.y, attribute.value.clusterDim.z};
        break;
      case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
        shape.dependent = attribute.value.programmaticStreamSerializationAllowed != 0;
        break;
      case CU_LAUNCH_ATTRIBUTE_IGNORE:
      case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        break;
      default:
        return fail(CUDA_ERROR_NOT_SUPPORTED, format("launch attribute {} is not known to the emulator", attribute.id));
    }
  }
  return CUDA_SUCCESS;
}

CUresult launch(State& all, const CUlaunchConfig& config, CUfunction function, void** parameters, void** extra) {
  if (!is_function(all, function)) return fail(CUDA_ERROR_INVALID_HANDLE, "that is no function");
  if (!is_stream(all, config.hStream)) return fail(CUDA_ERROR_INVALID_HANDLE, "that is no stream");
  const machine::Program& program = *function->program;
  machine::LaunchShape shape;
  shape.grid = {config.gridDimX, config.gridDimY, config.gridDimZ};
  shape.block = {config.blockDimX, config.blockDimY, config.blockDimZ};
  shape.dynamic_shared = config.sharedMemBytes;
  if (program.cluster[0] != 0) shape.cluster = program.cluster;
  if (const CUresult bad = read_attributes(config, shape)) return bad;
  if (shape.dynamic_shared > function->max_dynamic_shared) {
    return fail(CUDA_ERROR_INVALID_VALUE, format("{} bytes of dynamic shared memory; {} allows {}",
                                                 shape.dynamic_shared, program.name, function->max_dynamic_shared));
  }
  const std::string refusal = machine::refuse(program, shape);
  if (!refusal.empty()) return fail(CUDA_ERROR_INVALID_VALUE, program.name + ": " + refusal);
  std::vector<uint8_t> bytes;
  if (const CUresult bad = gather_parameters(program, parameters, extra, bytes)) return bad;

  machine::Reports reports;
  all.counters.add(machine::run(program, shape, bytes, all.memory, options_of_environment(), reports, &all.before));
  ++all.launches;
  for (const machine::Report& report : reports.all()) {
    log(report);
    all.reports.push_back(report);
    // The fatal one, if there is one, is the last.
    all.context.sticky = error_of(report.finding);
    fail(all.context.sticky, report.message);
  }
  return CUDA_SUCCESS;
}

}  // namespace

EMULATOR_EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                                          void** extra) {
  return enter(Needs::context, [&](State& all) -> CUresult {
    if (config == nullptr) return fail(CUDA_ERROR_INVALID_VALUE, "the configuration is null");
    return launch(all, *config, function, parameters, extra);
  });
}

EMULATOR_EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                        unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                                        void** parameters, void** extra) {
  const CUlaunchConfig config = {grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, nullptr, 0};
  return cuLaunchKernelEx(&config, function, parameters, extra);
}
