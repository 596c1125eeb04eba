# The libraries, of the distribution or of the prefix that deploy/install-dependencies.sh fills on Debian 12.

if(DEFINED ENV{RFMD_DEPS_PREFIX})
    set(rfmd_deps_default "$ENV{RFMD_DEPS_PREFIX}")
else()
    set(rfmd_deps_default /opt/rfmd-deps)
endif()
set(RFMD_DEPS_PREFIX "${rfmd_deps_default}" CACHE PATH "Prefix of libraries that the distribution lacks")
if(IS_DIRECTORY "${RFMD_DEPS_PREFIX}")
    list(PREPEND CMAKE_PREFIX_PATH "${RFMD_DEPS_PREFIX}")
    set(ENV{PKG_CONFIG_PATH} "${RFMD_DEPS_PREFIX}/lib/pkgconfig:$ENV{PKG_CONFIG_PATH}")
endif()
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(rfm_library name module)
    pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL "${module}")
    if(NOT ${name}_FOUND)
        message(FATAL_ERROR "${module} is missing: run deploy/install-dependencies.sh")
    endif()
    message(STATUS "${module}: ${${name}_VERSION}")
endfunction()

rfm_library(YYJSON yyjson>=0.10)
rfm_library(CRYPTO libcrypto>=3)
rfm_library(SSL libssl>=3)
rfm_library(RDKAFKA rdkafka>=2.8)
rfm_library(HIREDIS hiredis>=1.2)
rfm_library(LIBUV libuv>=1.44)
rfm_library(MICROHTTPD libmicrohttpd>=0.9.75)
rfm_library(YAML yaml-0.1>=0.2.5)
rfm_library(NLOPT nlopt>=2.7)
rfm_library(JEMALLOC jemalloc>=5)

# Its .pc names only the folder <prefix>/include/hiredis; the sources include <hiredis/hiredis.h>.
if(EXISTS "${RFMD_DEPS_PREFIX}/include/hiredis/hiredis.h")
    target_include_directories(PkgConfig::HIREDIS INTERFACE "${RFMD_DEPS_PREFIX}/include")
endif()

find_path(XXHASH_INCLUDE_DIR xxhash.h) # header only: XXH_INLINE_ALL
if(NOT XXHASH_INCLUDE_DIR)
    message(FATAL_ERROR "xxhash.h is missing: run deploy/install-dependencies.sh")
endif()

# jemalloc for the whole program, named or not: a linker that drops what it sees no use for must keep it.
function(rfm_link_allocator target)
    if(NOT RFM_SANITIZE)
        get_target_property(jemalloc PkgConfig::JEMALLOC INTERFACE_LINK_LIBRARIES)
        target_link_options(${target} PRIVATE "LINKER:--push-state,--no-as-needed,${jemalloc},--pop-state")
    endif()
endfunction()
