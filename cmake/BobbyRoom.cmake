# bobby_room(NAME SOURCES a.cpp ... [ROOMS base tensor ...] [LIBS pkg::target ...])
# One static library `bobby_NAME` a room. Rooms and libraries are linked PRIVATE, so that what a room
# may see is what its own CMakeLists.txt names; tests/unit/include_direction_test reads the includes.
function(bobby_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBS" ${ARGN})
  add_library(bobby_${name} STATIC ${ARG_SOURCES})
  add_library(bobby::${name} ALIAS bobby_${name})
  target_include_directories(bobby_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(bobby_${name} PRIVATE bobby_flags ${ARG_LIBS})
  foreach(room ${ARG_ROOMS})
    target_link_libraries(bobby_${name} PRIVATE bobby_${room})
  endforeach()
endfunction()
