/* counter_wrong.c: counter 2.3, which counts wrongly, and whose self-test notices it. All else is counter 2.0's. */
#include "lcr_component.h"

static int count_wrongly(void *self);

#define VERSION "2.3"
#define CONSTRUCTOR construct
#define STATE_IMPORT import_state
#define SELF_TEST count_wrongly
#include "counter_2.c"

static int count_wrongly(void *self)
{
	struct counter *counter = self;

	counter->total++; /* as if each self-test were a call */
	return self_test(self);
}
