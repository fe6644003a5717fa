# nvcc: from FLASH_MLA_NVCC, from PATH, or none: then the Hopper kernels are left out.
find_program(FLASH_MLA_NVCC nvcc DOC "CUDA's compiler, 13.0 or later; without it the Hopper kernels are left out")
if(NOT FLASH_MLA_NVCC)
  message(STATUS "no nvcc: the Hopper kernels are left out (FLASH_MLA_NVCC names it)")
  return()
endif()
execute_process(COMMAND ${FLASH_MLA_NVCC} --version OUTPUT_VARIABLE nvcc_version)
string(REGEX MATCH "release ([0-9.]+)" nvcc_version "${nvcc_version}")
if(CMAKE_MATCH_1 VERSION_LESS 13.0)
  message(STATUS "nvcc '${CMAKE_MATCH_1}' is older than 13.0: the Hopper kernels are left out (${FLASH_MLA_NVCC})")
  set(FLASH_MLA_NVCC "")
  return()
endif()
message(STATUS "Hopper kernels: ${FLASH_MLA_NVCC}")

# --expt-relaxed-constexpr: device code may call the constexpr functions that it shares with the host.
set(FLASH_MLA_NVCC_FLAGS -std=c++20 -O3 -lineinfo --expt-relaxed-constexpr -I${PROJECT_SOURCE_DIR}/src
  -I${PROJECT_SOURCE_DIR}/include)
# Compressed, as kernels and their PTX are large: the drivers that CUDA 13 asks for and the emulator read it.
set(FLASH_MLA_NVCC_FATBIN_FLAGS -gencode arch=compute_90a,code=[compute_90a,sm_90a] --compress-mode=size)

# flash_mla_compile_kernels(<output> <source> <flag>...): a PTX file or a fat binary.
function(flash_mla_compile_kernels output source)
  add_custom_command(OUTPUT ${output}
    COMMAND ${FLASH_MLA_NVCC} ${FLASH_MLA_NVCC_FLAGS} ${ARGN} -MD -MF ${output}.d -o ${output} ${source}
    DEPENDS ${source} DEPFILE ${output}.d COMMENT "nvcc ${output}" VERBATIM COMMAND_EXPAND_LISTS)
endfunction()
