# The two libraries of pico_cyw43_arch that examples/boards/pico-w may be linked with: see
# cyw43_arch.h. What spares the C++ library for ARM: nothing here is C++. Our warnings are errors.
foreach(way poll threadsafe_background)
    add_library(standin_${way} INTERFACE)
    target_include_directories(standin_${way} INTERFACE ${CMAKE_CURRENT_LIST_DIR}/include)
    target_link_libraries(standin_${way} INTERFACE pico_lwip_nosys pico_async_context_${way})
    target_compile_definitions(standin_${way} INTERFACE PICO_CXX_DISABLE_ALLOCATION_OVERRIDES=1)
endforeach()
cmake_language(DEFER CALL set_target_properties rtpush_board PROPERTIES LINKER_LANGUAGE C)
if(ARCH STREQUAL standin_threadsafe_background)
    set_source_files_properties(main.c PROPERTIES COMPILE_DEFINITIONS STANDIN_BACKGROUND=1)
endif()
set_source_files_properties(main.c ../app/app.c PROPERTIES COMPILE_OPTIONS "-Wall;-Werror")
