# Installed: headers, the shared library, the command, and how CMake and pkg-config find them. All paths are relative to
# the prefix, so an installed tree can be moved.
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/flash_mla)
install(TARGETS flash_mla EXPORT flash_mla-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT flash_mla_runtime NAMELINK_COMPONENT flash_mla_development)
install(DIRECTORY include/flash_mla DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT flash_mla_development
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(EXPORT flash_mla-targets NAMESPACE flash_mla:: DESTINATION ${config_dir} COMPONENT flash_mla_development)

configure_package_config_file(cmake/flash_mla-config.cmake.in flash_mla-config.cmake INSTALL_DESTINATION ${config_dir})
# Before 1.0 a minor version may change the interface.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file(flash_mla-config-version.cmake COMPATIBILITY ${compatibility})
install(FILES ${PROJECT_BINARY_DIR}/flash_mla-config.cmake ${PROJECT_BINARY_DIR}/flash_mla-config-version.cmake
  DESTINATION ${config_dir} COMPONENT flash_mla_development)

set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH FLASH_MLA_PC_PREFIX /${pkgconfig_dir} /)
string(REGEX REPLACE "/$" "" FLASH_MLA_PC_PREFIX "${FLASH_MLA_PC_PREFIX}")
configure_file(cmake/flash_mla.pc.in flash_mla.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/flash_mla.pc DESTINATION ${pkgconfig_dir} COMPONENT flash_mla_development)

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT flash_mla_runtime)
if(TARGET flash_mla_command)
  install(TARGETS flash_mla_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT flash_mla_runtime)
endif()
