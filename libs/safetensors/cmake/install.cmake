include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/safetensors_cpp)
install(TARGETS safetensors_cpp EXPORT safetensors_cpp_targets)
install(DIRECTORY include/safetensors TYPE INCLUDE)
install(EXPORT safetensors_cpp_targets NAMESPACE safetensors_cpp:: DESTINATION ${package_dir}
        FILE safetensors_cpp-targets.cmake)
configure_package_config_file(cmake/safetensors_cpp-config.cmake.in safetensors_cpp-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(safetensors_cpp-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/safetensors_cpp-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/safetensors_cpp-config-version.cmake
        DESTINATION ${package_dir})
