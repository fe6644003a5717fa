# fmt for cross builds: the compiled library of the build machine does not link, its headers alone do.
foreach(target fmt fmt-header-only)
  if(NOT TARGET fmt::${target})
    add_library(fmt::${target} INTERFACE IMPORTED)
    set_target_properties(fmt::${target} PROPERTIES
      INTERFACE_COMPILE_DEFINITIONS FMT_HEADER_ONLY=1 INTERFACE_COMPILE_FEATURES cxx_std_11)
  endif()
endforeach()
