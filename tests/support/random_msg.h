/* SPDX-License-Identifier: Apache-2.0 */
/* Random messages of any type, by its descriptor: what `required`, `oneof` and maps demand is kept,
 * everything else is dice. */
#ifndef PF_TESTS_SUPPORT_RANDOM_MSG_H
#define PF_TESTS_SUPPORT_RANDOM_MSG_H

#include "common/base/rng.h"
#include "common/fb/build.h"

/* Whole message in `b`, which is reset first. Texts are UTF-8 without control characters, reals
 * have few binary places: other tools print those exactly. */
struct pf_msg random_msg(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                         struct pf_rng *rng);

#endif
