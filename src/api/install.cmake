include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bobby)
install(TARGETS bobby_library bobby_cxx EXPORT bobby_targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/bobby TYPE INCLUDE)
install(EXPORT bobby_targets NAMESPACE bobby:: DESTINATION ${package_dir} FILE bobby-targets.cmake)
configure_package_config_file(bobby-config.cmake.in bobby-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(bobby-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bobby-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/bobby-config-version.cmake
        DESTINATION ${package_dir})
# From where the file lies, so that the prefix may be moved.
file(RELATIVE_PATH bobby_pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(bobby.pc.in bobby.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/bobby.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
