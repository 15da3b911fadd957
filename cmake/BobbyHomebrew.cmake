# Homebrew keeps what macOS brings as well ("keg-only") away from the rest, where no search looks.
find_program(BOBBY_BREW brew HINTS /opt/homebrew/bin /usr/local/bin)
if(BOBBY_BREW)
  execute_process(COMMAND ${BOBBY_BREW} --prefix OUTPUT_VARIABLE bobby_brew_prefix
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  list(APPEND CMAKE_PREFIX_PATH ${bobby_brew_prefix})
  foreach(formula curl libxml2 openssl@3 sqlite)
    list(APPEND CMAKE_PREFIX_PATH ${bobby_brew_prefix}/opt/${formula})
  endforeach()
endif()
