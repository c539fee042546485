/* forwarder.c: a component of the original's kind that calls another, the ticker, through lcr_ifact_reference. */
#include <stdint.h>

#include "lcr_comp.h"
#include "lcr_ifact.h"

static hdb_handle_t handle;
static struct ticker {
	int64_t (*tick)(int64_t *count);
} *ticker;

static int construct(void *context)
{
	void *table;

	if (lcr_ifact_reference(&handle, "ticker", 1, &table, context))
		return -1;
	ticker = table;
	return 0;
}

static void destruct(void *context)
{
	(void)context;
	lcr_ifact_release(handle);
}

static int64_t forward(int64_t *count) { return ticker->tick(count); }

struct table {
	int64_t (*forward)(int64_t *count);
};
static struct table table = {forward};

static char *needed[] = {"ticker"};
static struct lcr_iface ifaces[] = {
	{.name = "forwarder", .version = 1, .dependencies = needed, .dependency_count = 1, .constructor = construct, .destructor = destruct},
};
static struct lcr_comp comp = {.ifaces = ifaces, .iface_count = 1};

__attribute__((constructor)) static void register_forwarder(void)
{
	lcr_interfaces_set(&ifaces[0], &table);
	lcr_component_register(&comp);
}
