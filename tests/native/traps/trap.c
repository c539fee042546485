/* trap.c: the interface "trap" that every trap offers, for lcr_component.h, or with -DTRAP_ORIGINAL for the original.
 * Alone it is the component that does no harm. -DTRAP_VERSION=2 makes version "2.0" (2 in the original) of it.
 */
#include "trap.h"

#define WEAK __attribute__((weak))

WEAK int trap_construct(void) { return 0; }
WEAK void trap_destruct(void) {}
WEAK int trap_call(int number) { return 1000 * TRAP_VERSION + number; }

#ifdef TRAP_ORIGINAL

#include "lcr_comp.h"

static int construct(void *context)
{
	(void)context;
	return trap_construct();
}

static void destruct(void *context)
{
	(void)context;
	trap_destruct();
}

static int call(int number) { return trap_call(number); }

static struct {
	int (*call)(int number);
} functions = {call};

static int replaced[] = {1, 2, 3, 4, 5, 6, 7, 8};

static struct lcr_iface ifaces[] = {
	{
		.name = "trap",
		.version = TRAP_VERSION,
		.versions_replace = replaced,
		.versions_replace_count = 8,
		.constructor = construct,
		.destructor = destruct,
	},
};

static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};

__attribute__((constructor)) static void register_trap(void)
{
	lcr_interfaces_set(&ifaces[0], &functions);
	lcr_component_register(&comp);
}

#else

#include "lcr_component.h"

#define TEXT_OF(number) #number
#define VERSION_OF(number) TEXT_OF(number) ".0"

static int construct(const struct lcr_services *services, const void *context, size_t context_size, void **self)
{
	(void)services, (void)context, (void)context_size, (void)self;
	return trap_construct();
}

static void destruct(void *self)
{
	(void)self;
	trap_destruct();
}

static int call(void *self, int number)
{
	(void)self;
	return trap_call(number);
}

static const struct lcr_function functions[] = {LCR_FUNCTION("call", "int(int number)", call)};

static const struct lcr_interface interface = {
	.size = sizeof interface,
	.flags = LCR_CONCURRENT,
	.name = "trap",
	.version = VERSION_OF(TRAP_VERSION),
	.replaces = ">=1,<9",
	.functions = LCR_ARRAY(functions),
	.constructor = construct,
	.destructor = destruct,
};

static const struct lcr_interface *const interfaces[] = {&interface};

const struct lcr_component lcr_component = {
	.size = sizeof lcr_component,
	.abi = LCR_ABI,
	.interfaces = LCR_ARRAY(interfaces),
};

#endif
