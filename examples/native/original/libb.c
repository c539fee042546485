/* libb.c: a component for the original LCR. It offers the interface "B" in the versions 0 and 1, side by side.
 *
 * Every constructor, function and destructor prints who it is and its context.
 */
#include <stdio.h>

#include "lcr_comp.h"

struct b_functions {
	void (*func1)(void);
	void (*func2)(void);
	void (*func3)(void);
};

/* The functions take no argument that says for whom they are called: they tell the context of the last reference. */
static void *context_0, *context_1;

static void say(int version, const char *who, const void *context)
{
	printf("B %d %s 0x%lx\n", version, who, (unsigned long)context);
	fflush(stdout); /* so that it stays in order with what Python prints */
}

static int b0_constructor(void *context)
{
	context_0 = context;
	say(0, "constructor", context);
	return 0;
}

static void b0_destructor(void *context) { say(0, "destructor", context); }
static void b0_func1(void) { say(0, "func1", context_0); }
static void b0_func2(void) { say(0, "func2", context_0); }
static void b0_func3(void) { say(0, "func3", context_0); }

static int b1_constructor(void *context)
{
	context_1 = context;
	say(1, "constructor", context);
	return 0;
}

static void b1_destructor(void *context) { say(1, "destructor", context); }
static void b1_func1(void) { say(1, "func1", context_1); }
static void b1_func2(void) { say(1, "func2", context_1); }
static void b1_func3(void) { say(1, "func3", context_1); }

static struct b_functions b0_functions = {b0_func1, b0_func2, b0_func3};
static struct b_functions b1_functions = {b1_func1, b1_func2, b1_func3};

static struct lcr_iface b_ifaces[] = {
	{.name = "B", .version = 0, .constructor = b0_constructor, .destructor = b0_destructor},
	{.name = "B", .version = 1, .constructor = b1_constructor, .destructor = b1_destructor},
};

static struct lcr_comp b_comp = {.ifaces = b_ifaces, .iface_count = 2};

__attribute__((constructor)) static void register_b(void)
{
	lcr_interfaces_set(&b_ifaces[0], &b0_functions);
	lcr_interfaces_set(&b_ifaces[1], &b1_functions);
	lcr_component_register(&b_comp);
}
