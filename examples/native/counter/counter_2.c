/* counter_2.c: a counter, version 2.0. It keeps the total, finds keys by halving, and tells the count of one key.
 *
 * Its state has another layout (schema 2), and it takes over the state of version 1 as well.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcr_component.h"

/* The counters that fail are this one with a function of theirs in the place of one of these: see counter_bad.c. */
#ifndef VERSION
#define VERSION "2.0"
#define CONSTRUCTOR construct
#define STATE_IMPORT import_state
#define SELF_TEST self_test
#endif

struct counter {
	const struct lcr_services *services;
	pthread_mutex_t lock;
	int64_t total;
	int64_t *keys; /* in order, and beside each its count */
	int64_t *counts;
	size_t used;
	size_t room;
};

static int fail(const struct counter *counter, const char *why)
{
	counter->services->log(counter->services->host, LCR_ERROR, why);
	return -1;
}

/* -- the functions ---------------------------------------------------------------------------------------------------- */

/* Returns where a key is, or would be. */
static size_t place_of(const struct counter *counter, int64_t key)
{
	size_t first = 0, end = counter->used;

	while (first < end) {
		size_t middle = first + (end - first) / 2;
		if (counter->keys[middle] < key)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

static int has_at(const struct counter *counter, size_t at, int64_t key)
{
	return at < counter->used && counter->keys[at] == key;
}

/* Makes room for so many keys; returns -1 when memory is short. */
static int reserve(struct counter *counter, size_t room)
{
	int64_t *keys, *counts;

	if (room <= counter->room)
		return 0;
	keys = realloc(counter->keys, room * sizeof *keys);
	if (!keys)
		return -1;
	counter->keys = keys;
	counts = realloc(counter->counts, room * sizeof *counts);
	if (!counts)
		return -1;
	counter->counts = counts;
	counter->room = room;
	return 0;
}

static void insert(int64_t *column, size_t used, size_t at, int64_t value)
{
	memmove(column + at + 1, column + at, (used - at) * sizeof *column);
	column[at] = value;
}

/* Counts a key so many times more; returns its count, or -1 when memory is short. */
static long add_times(struct counter *counter, int64_t key, int64_t times)
{
	size_t at = place_of(counter, key);

	if (!has_at(counter, at, key)) {
		if (counter->used == counter->room && reserve(counter, 2 * counter->room + 16))
			return -1;
		insert(counter->keys, counter->used, at, key);
		insert(counter->counts, counter->used, at, 0);
		counter->used++;
	}
	counter->total += times;
	counter->counts[at] += times;
	return (long)counter->counts[at];
}

static long add(void *self, int key)
{
	struct counter *counter = self;
	long found;

	pthread_mutex_lock(&counter->lock);
	found = add_times(counter, key, 1);
	pthread_mutex_unlock(&counter->lock);
	return found;
}

static long total(void *self)
{
	struct counter *counter = self;
	long found;

	pthread_mutex_lock(&counter->lock);
	found = (long)counter->total;
	pthread_mutex_unlock(&counter->lock);
	return found;
}

/* Returns how often a key was counted. */
static long count(void *self, int key)
{
	struct counter *counter = self;
	size_t at;
	long found;

	pthread_mutex_lock(&counter->lock);
	at = place_of(counter, key);
	found = has_at(counter, at, key) ? (long)counter->counts[at] : 0;
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
				(long long)counter->keys[at], (long long)counter->counts[at]);
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
	free(counter->keys);
	free(counter->counts);
	free(counter);
}

/* -- its state: schema 1 is an array of keys and counts; schema 2 a head, the keys, the counts ------------------------ */

struct pair {
	int64_t key;
	int64_t count;
};

struct head {
	int64_t total;
	uint64_t used;
};

/* Writes the older form, for going back to version 1.0. */
static int export_pairs(const struct counter *counter, const struct lcr_writer *writer)
{
	for (size_t at = 0; at < counter->used; at++) {
		const struct pair pair = {counter->keys[at], counter->counts[at]};

		if (writer->write(writer->to, &pair, sizeof pair))
			return -1;
	}
	return 0;
}

static int export_columns(const struct counter *counter, const struct lcr_writer *writer)
{
	const struct head head = {counter->total, counter->used};
	const size_t size = counter->used * sizeof *counter->keys;

	if (writer->write(writer->to, &head, sizeof head))
		return -1;
	if (!size)
		return 0;
	if (writer->write(writer->to, counter->keys, size))
		return -1;
	return writer->write(writer->to, counter->counts, size);
}

static int export_state(void *self, const struct lcr_writer *writer)
{
	return writer->schema == 1 ? export_pairs(self, writer) : export_columns(self, writer);
}

static int import_pairs(struct counter *counter, const char *data, size_t size)
{
	struct pair pair;

	if (size % sizeof pair)
		return fail(counter, "the state of schema 1 is cut off in the middle of an entry");
	for (; size; data += sizeof pair, size -= sizeof pair) {
		memcpy(&pair, data, sizeof pair); /* not read in place: it may stand at any address */
		if (add_times(counter, pair.key, pair.count) < 0)
			return fail(counter, "there is no memory for the state");
	}
	return 0;
}

static int import_columns(struct counter *counter, const char *data, size_t size)
{
	struct head head;
	size_t column;

	if (size < sizeof head)
		return fail(counter, "the state of schema 2 is cut off in its head");
	memcpy(&head, data, sizeof head);
	if (head.used != (size - sizeof head) / sizeof(struct pair) || (size - sizeof head) % sizeof(struct pair))
		return fail(counter, "the state of schema 2 has another size than its head says");
	if (!head.used)
		return 0;
	if (reserve(counter, head.used))
		return fail(counter, "there is no memory for the state");
	column = head.used * sizeof *counter->keys;
	memcpy(counter->keys, data + sizeof head, column);
	memcpy(counter->counts, data + sizeof head + column, column);
	counter->total = head.total;
	counter->used = head.used;
	return 0;
}

static int import_state(void *self, uint32_t schema, const void *data, size_t size)
{
	return schema == 1 ? import_pairs(self, data, size) : import_columns(self, data, size);
}

static int self_test(void *self)
{
	const struct counter *counter = self;
	int64_t found = 0;

	for (size_t at = 0; at < counter->used; at++) {
		if (at && counter->keys[at - 1] >= counter->keys[at])
			return fail(counter, "the keys are not in order");
		found += counter->counts[at];
	}
	return found == counter->total ? 0 : fail(counter, "the counts do not add up to the total");
}

/* -- what lcr reads --------------------------------------------------------------------------------------------------- */

static const struct lcr_function functions[] = {
	LCR_FUNCTION("add", "long(int key)", add),
	LCR_FUNCTION("total", "long(void)", total),
	LCR_FUNCTION("text", "const char *(void)", text),
	LCR_FUNCTION("count", "long(int key)", count),
};

static const struct lcr_interface counter_interface = {
	.size = sizeof counter_interface,
	.name = "counter",
	.version = VERSION,
	.replaces = ">=1,<3",
	.schema = 2,
	.schema_oldest = 1,
	.functions = LCR_ARRAY(functions),
	.constructor = CONSTRUCTOR,
	.destructor = destruct,
	.state_export = export_state,
	.state_import = STATE_IMPORT,
	.self_test = SELF_TEST,
	.schema_writes = 1,
};

static const struct lcr_interface *const interfaces[] = {&counter_interface};

const struct lcr_component lcr_component = {
	.size = sizeof lcr_component,
	.abi = LCR_ABI,
	.about = "counts by key, in two columns",
	.interfaces = LCR_ARRAY(interfaces),
};
