/* thread_inside.c: its constructor starts a thread that runs in it for ever; the destructor leaves it running.
 * Unloaded, it takes the process along. The function tells how far the thread has counted.
 */
#include <pthread.h>
#include <time.h>

#include "trap.h"

static volatile int counted;

static void *count(void *nothing)
{
	const struct timespec millisecond = {0, 1000000};

	for (;; counted++)
		nanosleep(&millisecond, 0);
	return nothing;
}

int trap_construct(void)
{
	pthread_t thread;

	return pthread_create(&thread, 0, count, 0) || pthread_detach(thread);
}

int trap_call(int number) { return number + counted; }
