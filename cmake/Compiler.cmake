# How every file of the project is compiled.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# No NDEBUG in any of them: assertions stay on.
set(CMAKE_C_FLAGS_RELEASE "-O3 -g")
if(RFM_SANITIZE)
    set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
else()
    set(CMAKE_C_FLAGS_DEBUG "-O0 -g3")
endif()

add_compile_definitions(_GNU_SOURCE RFM_VERSION="${PROJECT_VERSION}")
add_compile_options(
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wundef
    -Wcast-qual -Wwrite-strings
    -fno-omit-frame-pointer
    -fno-common
    -ffp-contract=off # the same digits from every compiler and machine
)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-format-truncation) # messages are cut to their buffer on purpose
endif()
if(RFM_WERROR)
    add_compile_options(-Werror)
endif()

if(RFM_SANITIZE)
    add_compile_options(-fsanitize=${RFM_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${RFM_SANITIZE})
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        add_compile_options(-Wno-maybe-uninitialized) # taken in by the code that sanitizers insert
    endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro,-z,now)
endif()
if(RFM_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

string(REPLACE "," ";" faults "${RFM_FAULT}")
file(READ "${PROJECT_SOURCE_DIR}/src/engine/fault.h" known_faults)
foreach(fault IN LISTS faults)
    string(TOLOWER "${fault}" fault)
    if(NOT known_faults MATCHES "X\\([A-Z_]+, ${fault}, ")
        message(FATAL_ERROR "RFM_FAULT: there is no '${fault}' in src/engine/fault.h")
    endif()
    string(TOUPPER "${fault}" fault)
    add_compile_definitions(RFM_FAULT_${fault}=1)
endforeach()

# Objects carry both forms, so that only what is measured or shipped pays for the optimisation and each test links
# quickly: without -fno-lto the linker would optimise there too.
if(RFM_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT rfm_lto_works LANGUAGES C)
endif()
if(RFM_LTO AND rfm_lto_works AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    set(CMAKE_AR "${CMAKE_C_COMPILER_AR}")
    set(CMAKE_RANLIB "${CMAKE_C_COMPILER_RANLIB}")
    add_compile_options(-flto=auto -ffat-lto-objects)
    add_link_options("$<IF:$<BOOL:$<TARGET_PROPERTY:RFM_LINK_TIME>>,-flto=auto;-O3,-fno-lto>")
endif()

function(rfm_link_time_optimise target)
    set_target_properties(${target} PROPERTIES RFM_LINK_TIME ON)
endfunction()
