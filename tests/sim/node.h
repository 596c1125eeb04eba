/* What makes up a process, shared by its files: mail.c (what reaches it), question.c (to the broker), publisher.c,
 * link.c (Redis), consumer.c, node.c (its life, the group, the loop that carries out effects). */
#ifndef RFM_TESTS_SIM_NODE_H
#define RFM_TESTS_SIM_NODE_H

#include "sim.h"

typedef void (*sim_handler)(sim_world *sim, sim_node *node, void *argument);

/* mail.c. What is posted arrives unless the process is another one by then, and later if it is paused. */
void sim__post_at(sim_world *sim, sim_node *node, int64_t at_us, sim_handler handle, void *argument);
void sim__post(sim_world *sim, sim_node *node, int64_t delay_us, sim_handler handle, void *argument);
void sim__tell(sim_world *sim, sim_node *node, rfm_input input);
void sim__tell_later(sim_world *sim, sim_node *node, int64_t delay_us, const rfm_input *input);
int64_t sim__node_now_ms(const sim_world *sim, const sim_node *node);
int64_t sim__after_last(sim_world *sim, int64_t *last_us); /* a moment that keeps a channel's order */
rfm_bytes sim__copy_of(sim_world *sim, rfm_bytes bytes);
rfm_bytes sim__id_of(sim_world *sim, uint32_t producer); /* its transactional id */

/* question.c */
void sim__ask(sim_world *sim, sim_node *node, const rfm_effect *effect);

/* publisher.c */
void sim__publish(sim_world *sim, sim_node *node, rfm_step *step);
void sim__renew(sim_world *sim, sim_node *node, bool asked);
void sim__evict(sim_world *sim, sim_node *node, const rfm_effect *effect);

/* link.c */
void sim__open_link(sim_world *sim, sim_node *node, const rfm_effect *effect);
void sim__close_link(sim_world *sim, sim_node *node, uint32_t task);
void sim__load(sim_world *sim, sim_node *node, const rfm_effect *effect);
void sim__store(sim_world *sim, sim_node *node, const rfm_effect *effect);

/* consumer.c */
void sim__consume_from(sim_world *sim, sim_node *node, const rfm_effect *effect);
void sim__stop_fetching(sim_node *node, uint32_t task);
bool sim__feed(sim_world *sim, sim_node *node); /* false: nothing was taken */
void sim__tell_ends(sim_world *sim, sim_node *node);

/* node.c */
void sim__turn(sim_world *sim, sim_node *node);

#endif
