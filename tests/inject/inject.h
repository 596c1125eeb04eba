/* A library to be preloaded (LD_PRELOAD) into the real program, which makes what it asks of the system fail. What
 * fails, and how often, comes from the environment:
 *
 *   INJECT_ALLOC=N          the N-th allocation fails that the program's own code makes (not what its libraries make)
 *   INJECT_ALLOC_STACKS=D   N counts places instead: calls that differ in their D innermost callers
 *   INJECT_ALLOC_FROM=A,B   code of libraries whose file has A or B in its name counts as the program's own
 *   INJECT_ALLOC_RATE=P     each fails with P in a million
 *   INJECT_LINE=N           there is no memory for the N-th line that is read by getline
 *   INJECT_CALLS=K:P,...    system calls: kind K with P in a million (calls.c has the kinds)
 *   INJECT_CLOCK=FILE       8 bytes: nanoseconds by which the wall clock is moved, read at each look at it
 *   INJECT_SEED=S           of the dice; each thread has its own
 *   INJECT_AFTER_MS=T       nothing fails before, counted from the start
 *   INJECT_REPORT=FILE      each fault adds a line: its kind, its number, who asked */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next definition of a function, after ours: NEXT(name), then name_of_system()(...). */
void *inject_next(const char *name);
#define NEXT(name)                                  \
    static __typeof__(name) *next_##name;           \
    static __typeof__(name) *name##_of_system(void) \
    {                                               \
        if (!next_##name)                           \
            next_##name = inject_next(#name);       \
        return next_##name;                         \
    }

long long inject_number(const char *variable, long long otherwise);
bool inject_armed(void); /* INJECT_AFTER_MS has passed */
/* True with `per_million`; by this thread's dice. */
bool inject_roll(uint32_t per_million);
uint32_t inject_draw(uint32_t below); /* below > 0 */
/* Appends a line to the report; uses no memory. Callers: return addresses, as offsets in the program. */
void inject_report(const char *kind, unsigned long long number, const uintptr_t *callers, size_t count);

/* Whether an address is code of the program, or of a library that INJECT_ALLOC_FROM names. */
bool inject_is_own(uintptr_t address);
bool inject_is_program(uintptr_t address); /* whose frames are chained, unlike those of libraries */

#endif
