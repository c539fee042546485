/* counter_bad.c: counter 2.1, which crashes in its constructor. All else is counter 2.0's. */
#include "lcr_component.h"

static int crash(const struct lcr_services *services, const void *context, size_t context_size, void **self);

#define VERSION "2.1"
#define CONSTRUCTOR crash
#define STATE_IMPORT import_state
#define SELF_TEST self_test
#include "counter_2.c"

static int crash(const struct lcr_services *services, const void *context, size_t context_size, void **self)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 1;
	return construct(services, context, context_size, self);
}
