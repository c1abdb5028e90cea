/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes and asserts that every layer uses. Nothing else belongs here. */
#ifndef PF_COMMON_BASE_COMPILER_H
#define PF_COMMON_BASE_COMPILER_H

#include <stddef.h>

#define PF_MUST_USE        __attribute__((warn_unused_result))
#define PF_NORETURN        __attribute__((noreturn))
#define PF_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define PF_ARRAY_LEN(a)    (sizeof(a) / sizeof((a)[0]))
/* The structure of type `type` whose member `member` is at `ptr`. */
#define PF_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Our own bug: prints the condition and aborts, in release builds too. One condition, no side
 * effects. */
#define PF_ASSERT(cond) ((cond) ? (void)0 : pf_assert_fail(#cond, __FILE__, __LINE__))

PF_NORETURN void pf_assert_fail(const char *cond, const char *file, int line);

#endif
