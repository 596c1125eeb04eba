#include <rfm/base/arena.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

enum { PIECES = 2000 };

static void pieces_are_apart_and_stay(void **state)
{
    (void)state;
    rfm_arena arena;
    uint8_t *pieces[PIECES];
    size_t lens[PIECES];
    rfm_arena_init(&arena);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < PIECES; i++) {
            lens[i] = (size_t)rand() % (i % 100 == 99 ? 200000 : 300);
            pieces[i] = rfm_arena_take(&arena, lens[i]);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], (int)i, lens[i]);
        }
        for (size_t i = 0; i < PIECES; i++) {
            for (size_t at = 0; at < lens[i]; at++)
                assert_int_equal(pieces[i][at], (uint8_t)i);
        }
        rfm_arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    rfm_arena_release(&arena);
}

static void a_steady_state_takes_the_same_memory(void **state)
{
    (void)state;
    rfm_arena arena;
    void *first[3], *second[3];
    static const size_t lens[] = {60000, 300000, 10000};
    rfm_arena_init(&arena);
    for (size_t i = 0; i < 3; i++)
        first[i] = rfm_arena_take(&arena, lens[i]);
    rfm_arena_reset(&arena);
    for (size_t i = 0; i < 3; i++)
        second[i] = rfm_arena_take(&arena, lens[i]);
    assert_memory_equal(first, second, sizeof first);
    rfm_arena_release(&arena);
}

/* The first chunk is too small for the second round's first piece, and stays empty before one that is used. */
static void a_skipped_chunk_ends_no_reset(void **state)
{
    enum { ROUNDS = 4, GROWTH = 100000 };
    (void)state;
    rfm_arena arena;
    rfm_arena_init(&arena);
    for (size_t round = 1; round <= ROUNDS; round++) {
        for (int again = 0; again < 3; again++) {
            memset(rfm_arena_take(&arena, round * GROWTH), 1, round * GROWTH);
            memset(rfm_arena_take(&arena, 16), 1, 16);
            rfm_arena_reset(&arena);
        }
    }
    rfm_arena_release(&arena);
}

static void a_copy_owns_its_bytes(void **state)
{
    (void)state;
    rfm_arena arena;
    char text[] = "abc";
    rfm_arena_init(&arena);
    rfm_bytes copy = rfm_arena_copy(&arena, rfm_text(text));
    text[0] = 'x';
    assert_true(rfm_bytes_is(copy, "abc"));
    assert_int_equal(rfm_arena_copy(&arena, RFM_BYTES_NONE).len, 0);
    rfm_arena_release(&arena);
    rfm_arena_release(&arena);
}

static void a_burst_is_given_back(void **state)
{
    enum { BURST = 8 << 20, USUAL = 100000, RESETS = 200 };
    (void)state;
    rfm_arena arena;
    rfm_arena_init(&arena);
    for (int i = 0; i < 10; i++)
        rfm_arena_take(&arena, BURST / 10);
    assert_true(arena.held_bytes >= BURST);
    void *usual = NULL;
    for (int i = 0; i < RESETS; i++) {
        rfm_arena_reset(&arena);
        void *at = rfm_arena_take(&arena, USUAL);
        assert_true(i < RESETS * 3 / 4 || at == usual); /* steady again: the same memory */
        usual = at;
    }
    assert_true(arena.held_bytes < BURST / 10);
    rfm_arena_release(&arena);
}

static void bursts_that_come_back_are_kept(void **state)
{
    (void)state;
    rfm_arena arena;
    rfm_arena_init(&arena);
    for (int i = 0; i < 500; i++) {
        rfm_arena_take(&arena, i % 20 == 0 ? 8 << 20 : 1000);
        rfm_arena_reset(&arena);
        assert_true(arena.held_bytes >= 8 << 20);
    }
    rfm_arena_release(&arena);
}

/* Steps of all sizes, now and then a large one: what is held is what was needed of late, however long it goes on. */
static void what_is_held_does_not_creep(void **state)
{
    enum { ROUNDS = 40, RESETS = 500, USUAL = 100000, LARGE = 3 * USUAL };
    (void)state;
    rfm_arena arena;
    size_t most_early = 0, most_late = 0;
    rfm_arena_init(&arena);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < RESETS; i++) {
            size_t wanted = (size_t)rand() % USUAL + (i == 7 ? LARGE * (size_t)(round % 3) : 0);
            for (size_t taken = 0; taken < wanted; taken += 500)
                rfm_arena_take(&arena, 500);
            rfm_arena_take(&arena, wanted / 2); /* one piece, as large as the step */
            rfm_arena_reset(&arena);
        }
        size_t *most = round < ROUNDS / 2 ? &most_early : &most_late;
        *most = arena.held_bytes > *most ? arena.held_bytes : *most;
    }
    assert_true(most_late <= most_early);
    assert_true(most_late < 3 * USUAL);
    rfm_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_apart_and_stay),     cmocka_unit_test(a_steady_state_takes_the_same_memory),
        cmocka_unit_test(a_skipped_chunk_ends_no_reset), cmocka_unit_test(a_copy_owns_its_bytes),
        cmocka_unit_test(a_burst_is_given_back),         cmocka_unit_test(bursts_that_come_back_are_kept),
        cmocka_unit_test(what_is_held_does_not_creep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
