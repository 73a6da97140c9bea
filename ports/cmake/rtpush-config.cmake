# The targets of rtpush, beside the checkout's headers or those of "make install":
#     rtpush::core     rtpush.h and its implementation
#     rtpush::posix    ports/rtpush_posix.h
#     rtpush::sockets  ports/rtpush_sockets.h (plain sockets, Windows too)
#     rtpush::lwip     ports/rtpush_lwip.h: compiled as part of the target that links it, since
#                      lwipopts.h is its. Pico SDK: link pico_lwip to that target too
# The headers stay the same: #include <rtpush.h>, <ports/rtpush_posix.h>. No RTPUSH_IMPLEMENTATION
# anywhere: it is compiled here. Options: RTPUSH_NO_TEXT, RTPUSH_NO_CHECKS.
if(TARGET rtpush::core)
  return()
endif()

set(rtpush_sources ${CMAKE_CURRENT_LIST_DIR})
get_filename_component(rtpush_include ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
if(NOT EXISTS ${rtpush_include}/rtpush.h) # installed: PREFIX/lib/cmake/rtpush, PREFIX/include/rtpush
  get_filename_component(rtpush_include ${CMAKE_CURRENT_LIST_DIR}/../../../include/rtpush ABSOLUTE)
endif()

option(RTPUSH_NO_TEXT "leave out texts of errors and statuses" OFF)
option(RTPUSH_NO_CHECKS "leave out the checks of rtpush_init" OFF)

add_library(rtpush_core STATIC ${rtpush_sources}/core.c)
target_include_directories(rtpush_core PUBLIC ${rtpush_include})
foreach(rtpush_option RTPUSH_NO_TEXT RTPUSH_NO_CHECKS)
  if(${rtpush_option})
    target_compile_definitions(rtpush_core PRIVATE ${rtpush_option})
  endif()
endforeach()
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang") # with -Wl,--gc-sections what is not used is left out
  target_compile_options(rtpush_core PRIVATE -ffunction-sections -fdata-sections)
endif()
add_library(rtpush::core ALIAS rtpush_core)

# Built only where they are linked.
find_package(Threads)
foreach(rtpush_port posix sockets)
  if(EXISTS ${rtpush_include}/ports/rtpush_${rtpush_port}.h)
    add_library(rtpush_${rtpush_port} STATIC EXCLUDE_FROM_ALL ${rtpush_sources}/${rtpush_port}.c)
    target_link_libraries(rtpush_${rtpush_port} PUBLIC rtpush_core)
    if(WIN32)
      target_link_libraries(rtpush_${rtpush_port} PUBLIC ws2_32)
    elseif(TARGET Threads::Threads)
      target_link_libraries(rtpush_${rtpush_port} PUBLIC Threads::Threads)
    endif()
    add_library(rtpush::${rtpush_port} ALIAS rtpush_${rtpush_port})
  endif()
endforeach()

add_library(rtpush_lwip INTERFACE)
target_sources(rtpush_lwip INTERFACE ${rtpush_sources}/lwip.c)
target_link_libraries(rtpush_lwip INTERFACE rtpush_core)
add_library(rtpush::lwip ALIAS rtpush_lwip)
