# What every target of this project is compiled with.
add_library(flash_mla_compile INTERFACE)
target_compile_features(flash_mla_compile INTERFACE cxx_std_20)
target_compile_options(flash_mla_compile INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  $<$<BOOL:${FLASH_MLA_WERROR}>:-Werror>)
# GCC 12 sees overlapping copies in every std::string built from parts (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(flash_mla_compile INTERFACE -Wno-restrict)
endif()
if(FLASH_MLA_SANITIZE)
  target_compile_options(flash_mla_compile INTERFACE -fsanitize=${FLASH_MLA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(flash_mla_compile INTERFACE -fsanitize=${FLASH_MLA_SANITIZE})
endif()
