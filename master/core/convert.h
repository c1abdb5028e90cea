/* SPDX-License-Identifier: Apache-2.0 */
/* Between messages and what the core computes with: resources, attributes, constraints. */
#ifndef PF_MASTER_CORE_CONVERT_H
#define PF_MASTER_CORE_CONVERT_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/fb/build.h"
#include "master/core/allocator.h"
#include "schemas/scheduler.h"

/* Adds one Resource. What is not supported yet (reservations, volumes, revocable and shared ones)
 * is refused by name. `role`: what an allocation may name; absent: anything. */
PF_MUST_USE int pf_m_resource_read(struct Resource x, struct pf_str role, struct pf_resources *r,
                                   struct pf_err *err);

/* The vector of Resource tables for `r`; `alloc_role` absent: without allocation_info. Its memory
 * is the arena's. */
struct pf_refs pf_m_resources_put(struct pf_fb_builder *b, struct pf_arena *arena,
                                  const struct pf_resources *r, struct pf_str alloc_role);

/* Attributes as (name, value) texts: scalars as the shortest decimal, ranges as "[1-5,7-9]", each
 * item of a set on its own. At most `max`; returns how many. Texts are the arena's or the
 * message's. */
uint32_t pf_m_attributes_read(struct AgentInfo info, struct pf_arena *arena,
                              struct pf_al_attribute *out, uint32_t max);

/* The constraints of a demand; `out` has room for PF_CONSTRAINTS_MAX. Texts are the message's. */
PF_MUST_USE int pf_m_constraints_read(struct Demand d, struct pf_al_constraint *out,
                                      uint32_t *out_n, struct pf_err *err);
struct pf_refs pf_m_constraints_put(struct pf_fb_builder *b, struct pf_arena *arena,
                                    const struct pf_al_want *w, uint32_t n);
/* "rack=a", "zone!=b", "ssd", "!ssd", "host~web*": for people. */
void pf_m_constraint_format(const struct pf_al_constraint *c, struct pf_buf *out);

#endif
