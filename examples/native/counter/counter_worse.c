/* counter_worse.c: counter 2.2, which crashes when it takes over the state. All else is counter 2.0's. */
#include "lcr_component.h"

static int crash(void *self, uint32_t schema, const void *data, size_t size);

#define VERSION "2.2"
#define CONSTRUCTOR construct
#define STATE_IMPORT crash
#define SELF_TEST self_test
#include "counter_2.c"

static int crash(void *self, uint32_t schema, const void *data, size_t size)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 1;
	return import_state(self, schema, data, size);
}
