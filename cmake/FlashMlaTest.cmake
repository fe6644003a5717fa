# GoogleTest and how the tests of this project are declared.
include(GoogleTest)

if(CMAKE_CROSSCOMPILING)
  # Debian ships GoogleTest compiled for the build machine only, but its sources for all.
  if(NOT TARGET GTest::gtest)
    set(INSTALL_GTEST OFF CACHE BOOL "" FORCE)
    add_subdirectory(/usr/src/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
  endif()
else()
  find_package(GTest REQUIRED)
endif()

# OpenMP's runtime is not built for ThreadSanitizer, which then reports its barriers as races: there OpenMP runs one
# thread, and what is watched are the threads of the caller's own executor.
set(FLASH_MLA_TEST_ENVIRONMENT OMP_WAIT_POLICY=passive)
if(FLASH_MLA_SANITIZE STREQUAL "thread")
  list(APPEND FLASH_MLA_TEST_ENVIRONMENT OMP_NUM_THREADS=1 OMP_THREAD_LIMIT=1)
endif()
if(FLASH_MLA_SANITIZE MATCHES "undefined")
  list(APPEND FLASH_MLA_TEST_ENVIRONMENT UBSAN_OPTIONS=print_stacktrace=1)
endif()

# flash_mla_add_test(<name> [PUBLIC_API | STANDALONE] [SERIAL] [FULL] SOURCES <file>... [LIBRARIES <target>...]
#                    [TIMEOUT <seconds>] [ARGUMENTS <argument>...] [ENVIRONMENT <NAME=value>...])
# A GoogleTest program whose cases are tests of their own. It links the library with its internals, or with PUBLIC_API the
# shared library as users see it, with STANDALONE neither. SERIAL: times something, so nothing runs beside it. FULL: only
# `tools/test --full` runs it.
function(flash_mla_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PUBLIC_API;STANDALONE;SERIAL;FULL" "TIMEOUT" "SOURCES;LIBRARIES;ARGUMENTS;ENVIRONMENT")
  add_executable(${name} ${arg_SOURCES})
  if(arg_PUBLIC_API)
    target_link_libraries(${name} PRIVATE flash_mla::flash_mla)
  elseif(NOT arg_STANDALONE)
    target_link_libraries(${name} PRIVATE flash_mla_internal)
  endif()
  target_link_libraries(${name} PRIVATE flash_mla_compile ${arg_LIBRARIES} GTest::gtest_main)

  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${FLASH_MLA_TEST_PRESET}.${name}." EXTRA_ARGS ${arg_ARGUMENTS}
    DISCOVERY_TIMEOUT 120 PROPERTIES TIMEOUT ${arg_TIMEOUT} RUN_SERIAL ${arg_SERIAL})

  # gtest_discover_tests splits a property that is a list, so those are set by a second script that ctest reads after its.
  set(labels ${FLASH_MLA_TEST_LABEL})
  if(arg_FULL)
    list(APPEND labels full)
  endif()
  set(environment ${FLASH_MLA_TEST_ENVIRONMENT} ${arg_ENVIRONMENT})
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${name}_properties.cmake)
  file(CONFIGURE OUTPUT ${script} @ONLY CONTENT
    [[set_tests_properties(${@name@_TESTS} PROPERTIES LABELS "@labels@" ENVIRONMENT "@environment@")
]])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
endfunction()

# flash_mla_add_command_test(<name> [SERIAL] [FULL] [TIMEOUT <seconds>] [ENVIRONMENT <NAME=value>...] COMMAND <command>...)
# A command that fails the test by its exit code; 77 means that it cannot run here and has said why.
function(flash_mla_add_command_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL;FULL" "TIMEOUT" "ENVIRONMENT;COMMAND")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set(labels ${FLASH_MLA_TEST_LABEL})
  if(arg_FULL)
    list(APPEND labels full)
  endif()
  set(test ${FLASH_MLA_TEST_PRESET}.${name})
  add_test(NAME ${test} COMMAND ${arg_COMMAND})
  set_tests_properties(${test} PROPERTIES LABELS "${labels}" TIMEOUT ${arg_TIMEOUT} RUN_SERIAL ${arg_SERIAL}
    SKIP_RETURN_CODE 77 ENVIRONMENT "${FLASH_MLA_TEST_ENVIRONMENT};${arg_ENVIRONMENT}")
endfunction()
