# rfm_embed(LAYER FOLDER): the YAML files of a folder as data of the layer's library, declared in src/app/shipped.h, so that
# what the program brings along is what is shipped. A change of a file builds it anew.
function(rfm_embed layer folder)
    file(GLOB_RECURSE names CONFIGURE_DEPENDS RELATIVE "${folder}" "${folder}/*.yaml")
    list(SORT names)
    set(arrays "")
    set(entries "")
    set(number 0)
    foreach(name IN LISTS names)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${folder}/${name}")
        file(READ "${folder}/${name}" bytes HEX)
        string(REGEX REPLACE "(................................)" "\\1\n    " bytes "${bytes}")
        string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
        string(APPEND arrays "static const unsigned char file_${number}[] = {\n    ${bytes}\n};\n")
        string(APPEND entries "    {\"${name}\", file_${number}, sizeof file_${number}},\n")
        math(EXPR number "${number} + 1")
    endforeach()
    set(source "${PROJECT_BINARY_DIR}/embedded/shipped.c")
    file(CONFIGURE OUTPUT "${source}" @ONLY CONTENT "#include \"app/shipped.h\"

@arrays@
const rfm_shipped_file rfm_shipped_files[] = {
@entries@};
const size_t rfm_shipped_file_count = sizeof rfm_shipped_files / sizeof *rfm_shipped_files;
")
    target_sources(rfm_${layer} PRIVATE "${source}")
endfunction()
