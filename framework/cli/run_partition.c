/* SPDX-License-Identifier: Apache-2.0 */
/* run --partition: what becomes of the tasks when their agent cannot be reached. */
#include <string.h>
#include "common/sys/parse.h"
#include "framework/cli/run_spec.h"

int pf_run_spec_partition(struct pf_cli *cli, struct pf_run_spec *s)
{
    const char *text = pf_args_text(&cli->args, "partition");
    int64_t ms = 0;

    if (text == NULL || strcmp(text, "keep") == 0) {
        return 0;
    }
    if (strcmp(text, "replace") == 0) {
        s->partition = "{\"action\":\"REPLACE\"}";
        return 0;
    }
    if (strncmp(text, "stop:", 5) == 0 && pf_parse_duration_ms(pf_str(text + 5), &ms, NULL) == 0) {
        s->partition = pf_cli_text(cli, "{\"action\":\"STOP\",\"after_ms\":%lld}", (long long)ms);
        return 0;
    }
    return pf_cli_usage(cli, pf_cli_text(cli, "--partition %s is not known", text),
                        "write keep, replace or stop:TIME, for example stop:30s");
}
