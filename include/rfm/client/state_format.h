/* The format of what is kept: one number for all that lies under a Redis prefix and in its WAL, in `<prefix>:meta`.
 * Every older one is read; a newer one is refused. Whoever opens a state of an older one makes it this, and then no
 * older program can go on with it: what it would find it does not know.
 *
 *     format  since  states  slots  redo
 *     1       0.1.0  1, 2    3      1, 2
 *     2       -      3       4      1, 2 (on the way to 0.2.0)
 *     3       0.2.0  3       4      3: states in bundles
 *
 * What is packed has a version of its own besides: a Redis that came back from a backup may name an older format than
 * its WAL leads to, and is then refused by whoever does not know what it finds. */
#ifndef RFM_CLIENT_STATE_FORMAT_H
#define RFM_CLIENT_STATE_FORMAT_H

#ifndef RFM_STATE_FORMAT /* another one: for a program that tests/e2e/upgrade.py takes for a newer one */
#define RFM_STATE_FORMAT 3
#endif

#endif
