# find_package(rtpush 0.1): before 1.0 the same 0.N, then the same first number.
file(GLOB rtpush_header ${CMAKE_CURRENT_LIST_DIR}/../../rtpush.h
     ${CMAKE_CURRENT_LIST_DIR}/../../../include/rtpush/rtpush.h)
file(STRINGS "${rtpush_header}" rtpush_line REGEX "^#define RTPUSH_VERSION ")
string(REGEX REPLACE ".*// *" "" PACKAGE_VERSION "${rtpush_line}")
string(REGEX MATCH "^(0\\.)?[0-9]+" rtpush_series "${PACKAGE_VERSION}")
string(REGEX MATCH "^(0\\.)?[0-9]+" rtpush_wanted "${PACKAGE_FIND_VERSION}")
if(rtpush_series STREQUAL rtpush_wanted AND NOT PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
