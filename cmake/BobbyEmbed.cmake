# bobby_embed(OUT.cpp HEADER h TYPE t FUNCTION f FILES a b ...)
# Writes a source file that defines `std::span<const t> f()`, with {name, bytes} of each file; t and f
# are declared in h. Made anew when one of the files changes.
set(BOBBY_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_files.cmake)

function(bobby_embed out)
  cmake_parse_arguments(ARG "" "HEADER;TYPE;FUNCTION" "FILES" ${ARGN})
  set(files)
  foreach(file ${ARG_FILES})
    get_filename_component(file ${file} ABSOLUTE)
    if(NOT IS_DIRECTORY ${file})
      list(APPEND files ${file})
    endif()
  endforeach()
  string(REPLACE ";" "|" joined "${files}")
  add_custom_command(
    OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${out}
    COMMAND ${CMAKE_COMMAND} "-DFILES=${joined}" -DOUT=${CMAKE_CURRENT_BINARY_DIR}/${out}
            -DHEADER=${ARG_HEADER} -DTYPE=${ARG_TYPE} -DFUNCTION=${ARG_FUNCTION}
            -P ${BOBBY_EMBED_SCRIPT}
    DEPENDS ${files} ${BOBBY_EMBED_SCRIPT} COMMENT "Embedding files" VERBATIM)
endfunction()
