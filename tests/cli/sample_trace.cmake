# The sample trace must be what its generator makes.
execute_process(COMMAND ${python} ${source}/tools/make_sample_trace.py OUTPUT_VARIABLE made COMMAND_ERROR_IS_FATAL ANY)
file(READ ${source}/examples/traces/sample.csv kept)
if(NOT made STREQUAL kept)
  message(FATAL_ERROR "examples/traces/sample.csv differs from the output of tools/make_sample_trace.py")
endif()
