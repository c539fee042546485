/* counter_1.c: a counter, version 1.0. It counts by key, in one array that is sorted by key and looked through in order.
 *
 * lcr calls its functions from many threads at once, without the interpreter's lock, so it has a lock of its own.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcr_component.h"

struct entry {
	int64_t key;
	int64_t count;
};

struct counter {
	const struct lcr_services *services;
	pthread_mutex_t lock;
	struct entry *entries;
	size_t used;
	size_t room;
};

static int fail(const struct counter *counter, const char *why)
{
	counter->services->log(counter->services->host, LCR_ERROR, why);
	return -1;
}

/* -- the functions ---------------------------------------------------------------------------------------------------- */

/* Returns where a key is, or would be; -1 when there is no room for it. */
static ptrdiff_t place_for(struct counter *counter, int64_t key)
{
	size_t at = 0;

	while (at < counter->used && counter->entries[at].key < key)
		at++;
	if (at < counter->used && counter->entries[at].key == key)
		return (ptrdiff_t)at;
	if (counter->used == counter->room) {
		size_t room = counter->room ? 2 * counter->room : 16;
		struct entry *entries = realloc(counter->entries, room * sizeof *entries);
		if (!entries)
			return -1;
		counter->entries = entries;
		counter->room = room;
	}
	memmove(counter->entries + at + 1, counter->entries + at, (counter->used - at) * sizeof *counter->entries);
	counter->entries[at] = (struct entry){.key = key};
	counter->used++;
	return (ptrdiff_t)at;
}

/* Counts a key once more; returns how often it was counted, or -1 when memory is short. */
static long add(void *self, int key)
{
	struct counter *counter = self;
	ptrdiff_t at;
	long count = -1;

	pthread_mutex_lock(&counter->lock);
	at = place_for(counter, key);
	if (at >= 0)
		count = (long)++counter->entries[at].count;
	pthread_mutex_unlock(&counter->lock);
	return count;
}

static long sum(const struct counter *counter)
{
	int64_t total = 0;

	for (size_t at = 0; at < counter->used; at++)
		total += counter->entries[at].count;
	return (long)total;
}

static long total(void *self)
{
	struct counter *counter = self;
	long found;

	pthread_mutex_lock(&counter->lock);
	found = sum(counter);
	pthread_mutex_unlock(&counter->lock);
	return found;
}

/* Returns "key: count, key: count", as much as fits. */
static const char *text(void *self)
{
	/* Each thread's own: lcr copies it after this has returned, when another thread may be in here. */
	static _Thread_local char written[1024];
	struct counter *counter = self;
	size_t length = 0;

	written[0] = '\0';
	pthread_mutex_lock(&counter->lock);
	for (size_t at = 0; at < counter->used && length < sizeof written; at++)
		length += (size_t)snprintf(written + length, sizeof written - length, "%s%lld: %lld", at ? ", " : "",
				(long long)counter->entries[at].key, (long long)counter->entries[at].count);
	pthread_mutex_unlock(&counter->lock);
	return written;
}

/* -- its life --------------------------------------------------------------------------------------------------------- */

static int construct(const struct lcr_services *services, const void *context, size_t context_size, void **self)
{
	struct counter *counter = calloc(1, sizeof *counter);

	(void)context, (void)context_size;
	if (!counter)
		return -1;
	counter->services = services;
	pthread_mutex_init(&counter->lock, NULL);
	*self = counter;
	return 0;
}

static void destruct(void *self)
{
	struct counter *counter = self;

	pthread_mutex_destroy(&counter->lock);
	free(counter->entries);
	free(counter);
}

/* -- its state: schema 1 is the array --------------------------------------------------------------------------------- */

static int export_state(void *self, const struct lcr_writer *writer)
{
	const struct counter *counter = self;

	if (!counter->used)
		return 0;
	return writer->write(writer->to, counter->entries, counter->used * sizeof *counter->entries);
}

static int import_state(void *self, uint32_t schema, const void *data, size_t size)
{
	struct counter *counter = self;
	struct entry *entries;

	(void)schema; /* there is none that is older */
	if (size % sizeof *entries)
		return fail(counter, "the state is cut off in the middle of an entry");
	if (!size)
		return 0;
	entries = malloc(size);
	if (!entries)
		return fail(counter, "there is no memory for the state");
	memcpy(entries, data, size);
	free(counter->entries);
	counter->entries = entries;
	counter->used = counter->room = size / sizeof *entries;
	return 0;
}

static int self_test(void *self)
{
	const struct counter *counter = self;

	for (size_t at = 0; at < counter->used; at++) {
		if (counter->entries[at].count < 1)
			return fail(counter, "a key was counted less than once");
		if (at && counter->entries[at - 1].key >= counter->entries[at].key)
			return fail(counter, "the keys are not in order");
	}
	return 0;
}

/* -- what lcr reads --------------------------------------------------------------------------------------------------- */

static const struct lcr_function functions[] = {
	LCR_FUNCTION("add", "long(int key)", add),
	LCR_FUNCTION("total", "long(void)", total),
	LCR_FUNCTION("text", "const char *(void)", text),
};

static const struct lcr_interface counter_interface = {
	.size = sizeof counter_interface,
	.name = "counter",
	.version = "1.0",
	.schema = 1,
	.functions = LCR_ARRAY(functions),
	.constructor = construct,
	.destructor = destruct,
	.state_export = export_state,
	.state_import = import_state,
	.self_test = self_test,
};

static const struct lcr_interface *const interfaces[] = {&counter_interface};

const struct lcr_component lcr_component = {
	.size = sizeof lcr_component,
	.abi = LCR_ABI,
	.about = "counts by key, in an array",
	.interfaces = LCR_ARRAY(interfaces),
};
