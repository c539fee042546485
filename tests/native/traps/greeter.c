/* greeter.c: the interface "greeter" 1, which calls_back.c and dependencies.c use; it does no harm.
 * greet(number) returns 100 + number, and the constructor's context on top of it; greeted() how often it was called.
 */
#include "lcr_comp.h"

static long context_number;
static int count;

static int construct(void *context)
{
	context_number = (long)context;
	return 0;
}

static int greet(int number)
{
	count++;
	return (int)context_number + 100 + number;
}

static int greeted(void) { return count; }

static struct {
	int (*greet)(int number);
	int (*greeted)(void);
} functions = {greet, greeted};

static struct lcr_iface ifaces[] = {{.name = "greeter", .version = 1, .constructor = construct}};
static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};

__attribute__((constructor)) static void register_greeter(void)
{
	lcr_interfaces_set(&ifaces[0], &functions);
	lcr_component_register(&comp);
}
