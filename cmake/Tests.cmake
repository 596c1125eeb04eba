# Unit tests, the simulator, fuzzers and benches, found by their place in the tree.

set(RFM_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# Sanitized programs are many times slower.
set(RFM_TEST_TIMEOUT_S 120)
if(RFM_SANITIZE)
    set(RFM_TEST_TIMEOUT_S 300)
endif()

# Tests run in the root of the sources.
function(rfm_add_test name)
    add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${name} PROPERTIES TIMEOUT ${RFM_TEST_TIMEOUT_S} ENVIRONMENT "${RFM_TEST_ENVIRONMENT}")
endfunction()

if(RFM_TESTS)
    pkg_check_modules(CMOCKA QUIET IMPORTED_TARGET GLOBAL cmocka>=1.1.5)
    if(NOT CMOCKA_FOUND)
        message(STATUS "No cmocka, so no unit tests: run deploy/install-dependencies.sh --tests")
    endif()

    # tests/unit/<layer>/<module>_test.c: a program linked with that layer.
    foreach(layer IN LISTS RFM_LAYERS)
        file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/${layer}/*_test.c")
        if(NOT CMOCKA_FOUND)
            set(sources "")
        endif()
        foreach(source IN LISTS sources)
            cmake_path(GET source STEM module)
            add_executable(${layer}_${module} "${source}")
            target_link_libraries(${layer}_${module} PRIVATE rfm_${layer} PkgConfig::CMOCKA)
            target_include_directories(${layer}_${module} PRIVATE "${PROJECT_SOURCE_DIR}/tests/fixtures") # fixture.h
            rfm_add_test(${layer}_${module} ${layer}_${module})
        endforeach()
    endforeach()

    # tests/conform/<layer>_conform.c: the layer beside another implementation, whose answers are in <layer>_cases.txt.
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/conform/*_conform.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        string(REGEX REPLACE "_conform$" "" layer "${name}")
        add_executable(${name} "${source}")
        target_link_libraries(${name} PRIVATE rfm_${layer})
        rfm_add_test(${name} ${name} "${PROJECT_SOURCE_DIR}/tests/conform/${layer}_cases.txt")
    endforeach()

    # tests/sim/*.c: one program, the engine in a world of its own.
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/sim/*.c")
    if(sources)
        add_executable(sim ${sources})
        target_link_libraries(sim PRIVATE rfm_engine)
        if(RFM_SANITIZE MATCHES "thread") # one thread: there is little to find, slowly
            rfm_add_test(sim sim --seeds 20)
            rfm_add_test(sim_at_least_once sim --at-least-once --seeds 20)
        elseif(RFM_SANITIZE) # five times as slow: half of the seeds
            rfm_add_test(sim sim --seeds 500)
            rfm_add_test(sim_at_least_once sim --at-least-once --first 501 --seeds 500)
        else()
            rfm_add_test(sim sim)
            rfm_add_test(sim_at_least_once sim --at-least-once)
            rfm_add_test(sim_twice sim --twice --seeds 50)
        endif()
    endif()

    # The same with an engine whose rules can be left out (src/engine/fault.h): each must be seen to be missing.
    if(sources AND NOT RFM_SANITIZE AND NOT RFM_FAULT)
        file(GLOB engine_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/engine/*.c")
        add_executable(sim_mutants ${engine_sources} ${sources})
        target_compile_definitions(sim_mutants PRIVATE RFM_FAULTS_SELECTABLE)
        target_include_directories(sim_mutants PRIVATE "${RFM_STAGE}/engine")
        target_link_libraries(sim_mutants PRIVATE rfm_rule)
        target_compile_options(sim_mutants PRIVATE -O2) # also in debug: it is run once for each rule
        rfm_add_test(sim_mutations "${PROJECT_SOURCE_DIR}/tests/sim/mutations.sh" "$<TARGET_FILE:sim_mutants>")
        rfm_add_test(sim_mutations_at_least_once "${PROJECT_SOURCE_DIR}/tests/sim/mutations.sh"
            "$<TARGET_FILE:sim_mutants>" --at-least-once store_rule load_fence)
        set_tests_properties(sim_mutations PROPERTIES TIMEOUT 300)
    endif()

    # tests/protocol: the protocol alone, all interleavings within bounds; without any of its rules a property must break.
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/protocol/*.c")
    add_executable(protocol ${sources})
    if(NOT RFM_SANITIZE)
        target_compile_options(protocol PRIVATE -O2) # also in debug: it is all search
        rfm_add_test(protocol_one_task protocol --records 3 --rebalances 1 --rollbacks 1 --unknowns 1)
        rfm_add_test(protocol_three_workers protocol --workers 3 --inputs 1 --records 2 --rebalances 1 --crashes 1)
        rfm_add_test(protocol_fail_over protocol --records 3 --fail-overs 1 --rebalances 1 --unknowns 1 --crashes 1)
        rfm_add_test(protocol_two_tasks protocol --tasks 2 --inputs 1 --records 2 --crashes 1 --timeouts 1)
        rfm_add_test(protocol_two_tasks_twice protocol --tasks 2 --inputs 1 --records 2 --rollbacks 1 --unknowns 1 --fail-overs 1)
        rfm_add_test(protocol_two_tasks_on protocol --tasks 2 --inputs 2 --records 3 --unknowns 1 --fail-overs 1)
        rfm_add_test(protocol_two_tasks_moved protocol --tasks 2 --inputs 1 --records 1 --rebalances 1 --rollbacks 1)
        rfm_add_test(protocol_parts protocol --parts 2 --inputs 1 --records 2 --rebalances 1 --rollbacks 1 --crashes 1 --timeouts 1)
        rfm_add_test(protocol_rules protocol --mutations --parts 2 --records 3 --rebalances 1 --rollbacks 1 --unknowns 1
            --evictions 1 --crashes 1 --fail-overs 1 --states-max 2000000)
    endif()

    # tests/truth/*.c: experiments with a known effect through the engine; a short form here, the whole by hand.
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/truth/*.c")
    add_executable(experiment_truth ${sources})
    target_link_libraries(experiment_truth PRIVATE rfm_app)
    set(runs 100)
    if(RFM_SANITIZE)
        set(runs 4)
    elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
        set(runs 20)
    endif()
    rfm_add_test(experiment_truth experiment_truth --runs ${runs})
    set_tests_properties(experiment_truth PROPERTIES TIMEOUT 300)

    # For tests/e2e, which compares the models with another implementation.
    add_executable(model_points "${PROJECT_SOURCE_DIR}/tests/model/points.c")
    target_link_libraries(model_points PRIVATE rfm_model)

    # tests/inject/*.c: a library that tests/e2e preloads into the program.
    if(NOT RFM_SANITIZE)
        file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/inject/*.c")
        add_library(rfmd_inject MODULE ${sources})
        set_target_properties(rfmd_inject PROPERTIES PREFIX "")
        target_compile_options(rfmd_inject PRIVATE -O2 -fno-builtin -U_FORTIFY_SOURCE -Wno-shadow)
        target_link_libraries(rfmd_inject PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
    else()
        add_custom_target(rfmd_inject) # sanitizers have such a library of their own
    endif()

    # bench/<name>.c or <name>_bench.c: bench_<name>; those that start with e2e speak to Kafka and Redis; redis_memory
    # makes a shop's year as the program does.
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        string(REGEX REPLACE "_bench$" "" name "${name}")
        add_executable(bench_${name} "${source}")
        target_link_libraries(bench_${name} PRIVATE rfm_engine)
        if(name MATCHES "^e2e")
            target_link_libraries(bench_${name} PRIVATE rfm_kafka rfm_redis)
        elseif(name STREQUAL "redis_memory")
            target_link_libraries(bench_${name} PRIVATE rfm_app)
        endif()
        rfm_link_allocator(bench_${name})
        rfm_link_time_optimise(bench_${name})
    endforeach()

    rfm_add_test(layering "${PROJECT_SOURCE_DIR}/tests/layering.sh" "${CMAKE_C_COMPILER}" "${RFM_LAYER_FLAGS}")

    # tests/plays/*.yaml: scenarios of the shipped rules.
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/plays/*.yaml")
    rfm_add_test(plays rfmd test ${sources})

    # tests/traps/*.yaml: what others fell into.
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/traps/*.yaml")
    rfm_add_test(traps rfmd test ${sources})

    # The pages of docs/: those that tables make are current, examples work and say what the program says.
    find_program(RFM_PYTHON NAMES python3)
    rfm_add_test(docs_current "${PROJECT_SOURCE_DIR}/docs/generate.sh" --check $<TARGET_FILE:rfmd>)
    if(RFM_PYTHON AND NOT RFM_SANITIZE) # commands with a time limit of their own
        rfm_add_test(docs_examples "${RFM_PYTHON}" "${PROJECT_SOURCE_DIR}/tests/docs/examples.py" $<TARGET_FILE:rfmd>)
    endif()
endif()

# tests/fuzz/<what>_fuzz.c: with libFuzzer a fuzzer; else a test that runs it once over its corpus.
file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/*_fuzz.c")
foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    string(REGEX REPLACE "_fuzz$" "" what "${name}")
    if(RFM_FUZZ)
        add_executable(${name} "${source}")
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${name} "${source}" "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus_main.c")
        rfm_add_test(corpus_${what} ${name} "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${what}")
    endif()
    target_link_libraries(${name} PRIVATE rfm_config rfm_redis rfm_fit rfm_http)
    target_compile_options(${name} PRIVATE -Wno-missing-prototypes) # libFuzzer has no header for its entry
endforeach()
