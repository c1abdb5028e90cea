/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options: the kinds that are more than text. */
#ifndef PF_FRAMEWORK_CLI_VALUE_H
#define PF_FRAMEWORK_CLI_VALUE_H

#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "framework/cli/command.h"

/* Checks `text` as the option's kind wants it and gives the number that stands for it (0 for
 * texts). PF_EINVAL. */
PF_MUST_USE int pf_value_parse(const struct pf_cli_option *o, const char *text, int64_t *out,
                               struct pf_err *err);
/* What to write instead of a refused value. In the arena. */
const char *pf_value_hint(const struct pf_cli_option *o, struct pf_arena *arena);
/* "TERM", "SIGTERM", "15". PF_EINVAL. */
PF_MUST_USE int pf_signal_parse(const char *text, int *out, struct pf_err *err);
/* Splits "KEY=VALUE". False if there is no '=' or no key; then `out` is untouched. */
bool pf_value_split(const char *text, struct pf_str *out_key, struct pf_str *out_value);

#endif
