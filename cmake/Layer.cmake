# Layers: each folder of src/ a static library that sees its own headers and those of the layers it uses.
#
# The sources are never on an include path. Every layer has a folder of its own in the build tree,
# with two links: rfm/<layer> to include/rfm/<layer> and <layer> to src/<layer>. Only the folders of
# the layer and of those it uses are searched, so an upward include finds nothing.

set(RFM_LAYERS "" CACHE INTERNAL "")
set(RFM_STAGE "${PROJECT_BINARY_DIR}/include")
set(RFM_LAYER_FLAGS "${PROJECT_BINARY_DIR}/layering")

# rfm_layer(NAME [USES layer...] [LIBS target...] [EXCLUDE file...])
# A folder without sources makes an interface library: the tree can be configured before they exist.
function(rfm_layer name)
    cmake_parse_arguments(layer "" "" "USES;LIBS;EXCLUDE" ${ARGN})
    set(target rfm_${name})

    file(MAKE_DIRECTORY "${RFM_STAGE}/${name}/rfm")
    file(CREATE_LINK "${PROJECT_SOURCE_DIR}/include/rfm/${name}" "${RFM_STAGE}/${name}/rfm/${name}" SYMBOLIC)
    file(CREATE_LINK "${PROJECT_SOURCE_DIR}/src/${name}" "${RFM_STAGE}/${name}/${name}" SYMBOLIC)

    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.c")
    foreach(file IN LISTS layer_EXCLUDE)
        list(REMOVE_ITEM sources "${PROJECT_SOURCE_DIR}/src/${name}/${file}")
    endforeach()

    if(sources)
        set(scope PUBLIC)
        add_library(${target} STATIC ${sources})
    else()
        set(scope INTERFACE)
        add_library(${target} INTERFACE)
    endif()
    list(TRANSFORM layer_USES PREPEND rfm_ OUTPUT_VARIABLE uses)
    target_include_directories(${target} ${scope} "${RFM_STAGE}/${name}")
    target_link_libraries(${target} ${scope} ${uses} ${layer_LIBS})

    # For tests/layering.sh: the include flags with which the layer is really compiled.
    set(folders "$<TARGET_PROPERTY:${target},INTERFACE_INCLUDE_DIRECTORIES>")
    file(GENERATE OUTPUT "${RFM_LAYER_FLAGS}/${name}" CONTENT "-I$<JOIN:${folders},\n-I>\n")
    set(RFM_LAYERS ${RFM_LAYERS} ${name} CACHE INTERNAL "")
endfunction()

# rfm_aggregate(NAME LAYERS layer... [LIBS target...]): one library of several layers, for other programs.
function(rfm_aggregate name)
    cmake_parse_arguments(aggregate "" "" "LAYERS;LIBS" ${ARGN})
    set(objects "")
    foreach(layer IN LISTS aggregate_LAYERS)
        get_target_property(type rfm_${layer} TYPE)
        if(type STREQUAL "STATIC_LIBRARY")
            list(APPEND objects $<TARGET_OBJECTS:rfm_${layer}>)
        endif()
    endforeach()
    if(NOT objects)
        return()
    endif()
    include(GNUInstallDirs)
    add_library(${name} STATIC ${objects})
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(${name} INTERFACE "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(${name} INTERFACE ${aggregate_LIBS})
    install(TARGETS ${name} ARCHIVE)
    install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/rfm" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING
        PATTERN "*.h")
endfunction()
