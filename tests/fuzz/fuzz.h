/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target is: one function that must survive any input. A broken promise aborts. */
#ifndef PF_TESTS_FUZZ_FUZZ_H
#define PF_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
