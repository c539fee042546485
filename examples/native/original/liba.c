/* liba.c: a component for the original LCR. It offers the interface "A" in the versions 0 and 1, side by side.
 *
 * Every constructor, function and destructor prints who it is and its context.
 */
#include <stdio.h>

#include "lcr_comp.h"

struct a_functions {
	void (*func1)(void);
	void (*func2)(void);
	void (*func3)(void);
};

/* The functions take no argument that says for whom they are called: they tell the context of the last reference. */
static void *context_0, *context_1;

static void say(int version, const char *who, const void *context)
{
	printf("A %d %s 0x%lx\n", version, who, (unsigned long)context);
	fflush(stdout); /* so that it stays in order with what Python prints */
}

static int a0_constructor(void *context)
{
	context_0 = context;
	say(0, "constructor", context);
	return 0;
}

static void a0_destructor(void *context) { say(0, "destructor", context); }
static void a0_func1(void) { say(0, "func1", context_0); }
static void a0_func2(void) { say(0, "func2", context_0); }
static void a0_func3(void) { say(0, "func3", context_0); }

static int a1_constructor(void *context)
{
	context_1 = context;
	say(1, "constructor", context);
	return 0;
}

static void a1_destructor(void *context) { say(1, "destructor", context); }
static void a1_func1(void) { say(1, "func1", context_1); }
static void a1_func2(void) { say(1, "func2", context_1); }
static void a1_func3(void) { say(1, "func3", context_1); }

static struct a_functions a0_functions = {a0_func1, a0_func2, a0_func3};
static struct a_functions a1_functions = {a1_func1, a1_func2, a1_func3};

static struct lcr_iface a_ifaces[] = {
	{.name = "A", .version = 0, .constructor = a0_constructor, .destructor = a0_destructor},
	{.name = "A", .version = 1, .constructor = a1_constructor, .destructor = a1_destructor},
};

static struct lcr_comp a_comp = {.ifaces = a_ifaces, .iface_count = 2};

__attribute__((constructor)) static void register_a(void)
{
	lcr_interfaces_set(&a_ifaces[0], &a0_functions);
	lcr_interfaces_set(&a_ifaces[1], &a1_functions);
	lcr_component_register(&a_comp);
}
